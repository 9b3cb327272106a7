"""What was shown: found again, in bounded room, and gone when a person is."""

from __future__ import annotations

from pathlib import Path

import pytest

from zhiyin.base.errors import UnknownNameError
from zhiyin.online import traces as module
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.traces import Traces

ITEMS = [Shown("i1", 1.0, "one", "taste", "because")]


@pytest.mark.parametrize("on_disk", [True, False])
def test_large_asks_take_bounded_memory_and_the_newest_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool) -> None:
    monkeypatch.setattr(module, "RECENT_BYTES", 100_000)
    traces = Traces(tmp_path if on_disk else None, 1 << 30)
    ids = [traces.keep(Ask(user=f"u{n}", text="x" * 1000), ITEMS, "m", "v", n) for n in range(500)]
    assert sum(map(len, traces._recent.values())) <= 100_000
    assert [traces.find(trace).at_us for trace in ids[-50:]] == list(range(450, 500))
    if on_disk:
        assert [traces.find(trace).ask.user for trace in ids] == [f"u{n}" for n in range(500)]
    else:
        with pytest.raises(UnknownNameError, match="kept for a while"):
            traces.find(ids[0])


@pytest.mark.parametrize("on_disk", [True, False])
def test_who_is_erased_leaves_no_trace(tmp_path: Path, on_disk: bool) -> None:
    traces = Traces(tmp_path if on_disk else None, 1 << 30)
    mine = traces.keep(Ask(user="me"), ITEMS, "m", "v", 1)
    guest = traces.keep(Ask(session="s1"), ITEMS, "m", "v", 2)
    other = traces.keep(Ask(user="you"), ITEMS, "m", "v", 3)
    assert traces.erase({"me"}, {"s1"}) == 2
    for trace in (mine, guest):
        with pytest.raises(UnknownNameError):
            traces.find(trace)
    assert traces.find(other).ask.user == "you"
    assert [record.ask.user for record in traces.every()] == ["you"]


@pytest.mark.parametrize("wrong", ["", "-", "x", "1-2", "1-2-3", "zz-zz-zz", "1-0-", "0-ffffffffffffffffff-x", "-1--1-x", "f" * 200])
def test_ids_that_are_none_are_unknown(tmp_path: Path, wrong: str) -> None:
    traces = Traces(tmp_path, 1 << 30)
    traces.keep(Ask(), ITEMS, "m", "v", 1)
    with pytest.raises(UnknownNameError):
        traces.find(wrong)


def test_who_only_looks_leaves_no_file_behind(tmp_path: Path) -> None:
    traces = Traces(tmp_path / "traces", 1 << 30)
    assert list(traces.every()) == [] and traces.erase({"me"}, set()) == 0
    with pytest.raises(UnknownNameError):
        traces.find("1-0-abcdef")
    traces.close()
    assert list((tmp_path / "traces").iterdir()) == []
    two = [Traces(tmp_path / "traces", 1 << 30, shared=True) for _ in range(2)]
    ids = [traces.keep(Ask(user=f"u{i}"), ITEMS, "m", "v", 1) for i, traces in enumerate(two)]
    assert ids[0].split("-")[0] != ids[1].split("-")[0], "each writes a segment of its own"
    assert [two[1 - i].find(trace).ask.user for i, trace in enumerate(ids)] == ["u0", "u1"]


def test_who_was_shown_to_others_is_erased_from_their_answers_too(tmp_path: Path) -> None:
    traces = Traces(tmp_path, 1 << 30)
    shown = traces.keep(Ask(user="you", target="users"), [Shown("me", 1.0, kind="user")], "follow", "v", 1)
    item = traces.keep(Ask(user="you"), [Shown("me", 1.0)], "m", "v", 1)  # an item of that id is nobody
    assert traces.erase({"me"}, set()) == 1
    with pytest.raises(UnknownNameError):
        traces.find(shown)
    assert traces.find(item).items[0].item == "me"
