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
