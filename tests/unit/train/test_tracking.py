"""Curves of a run: event files hold the values; absence gives the pip command; the report itself stays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zhiyin.base.errors import MissingExtraError, UnknownNameError
from zhiyin.data.run import Run
from zhiyin.models.registry import spec_of
from zhiyin.testing.small import small_world
from zhiyin.train.tracking import check_tracker, tracked, tracking

ROWS: list[Mapping[str, Any]] = [
    {"stage": "sequence", "step": 20, "of": 40, "loss": 5.5, "best": None},
    {"stage": "sequence", "epoch": 1, "loss": 5.25, "validation": 0.125, "cpu_s": 1.5, "step": 40, "of": 40},
    {"stage": "zhiyin", "note": "weighing the parts", "step": 1, "of": 2},
    {"stage": "search ease", "step": 3, "of": 9, "note": "ease, done", "value": 0.25},
    {"stage": "sequence", "trial": 2, "step": 20, "of": 40, "loss": 4.0},
]
POINTS = {
    ("sequence/loss", 20): 5.5,
    ("sequence/loss", 40): 5.25,
    ("sequence/validation", 40): 0.125,
    ("sequence/cpu_s", 40): 1.5,
    ("search-ease/value", 3): 0.25,
    ("trial-2/sequence/loss", 20): 4.0,
}


def read_events(folder: Path) -> dict[tuple[str, int], float]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                number = value.tensor.float_val[0] if value.HasField("tensor") else value.simple_value
                found[value.tag, event.step] = number
    return found


def test_tensorboard_files_hold_the_values(tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []
    with tracking("tensorboard", tmp_path) as tracker:
        report = tracked(seen.append, tracker)
        for row in ROWS:
            report(row)
    assert seen == ROWS
    assert read_events(tmp_path / "tensorboard") == POINTS


def test_curves_are_closed_when_training_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), tracking("tensorboard", tmp_path) as tracker:
        assert tracker is not None
        tracker.point("a/b", 1.0, 1)
        raise ZeroDivisionError
    assert read_events(tmp_path / "tensorboard") == {("a/b", 1): 1.0}


def test_a_fit_reports_its_loss_and_the_plain_log_stays(tmp_path: Path) -> None:
    spec = spec_of({"kind": "sequence", "dim": 8, "epochs": 2, "max_len": 5, "batch_size": 8, "text": "off", "validate_every": 1})
    with tracking("tensorboard", tmp_path) as tracker:
        spec.fit(small_world(), Run(folder=tmp_path / "run", report=tracked(lambda _: None, tracker)))
    found = read_events(tmp_path / "tensorboard")
    assert len({step for name, step in found if name == "sequence/loss"}) >= 2
    assert (tmp_path / "run" / "log.jsonl").read_text().count('"loss"') == 2


def test_nobody_tracks(tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []
    with tracking(None, tmp_path / "none") as tracker:
        assert tracker is None and tracked(seen.append, tracker) == seen.append
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_what_is_absent_gives_the_pip_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as raised:
        check_tracker(name)
    assert str(raised.value) == f'--tracker {name} needs {name}, which is not installed (E500). pip install "zhiyin[{name}]"'


def test_a_name_nobody_knows() -> None:
    with pytest.raises(UnknownNameError, match=r"no tracker is named 'tensorbord' \(E310\)\. Did you mean 'tensorboard'\?"):
        check_tracker("tensorbord")


def test_wandb_stays_offline_and_every_stage_has_its_own_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a fake of the four calls that are used: the package itself is not installed here."""
    said: list[Any] = []
    run = SimpleNamespace(
        define_metric=lambda name, step_metric: said.append((name, step_metric)),
        log=said.append,
        finish=lambda: said.append("finished"),
    )
    fake = SimpleNamespace(init=lambda **k: said.append(k) or run, Settings=lambda **k: k)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(name=name))
    with tracking("wandb", tmp_path / "w", "town ease", {"kind": "ease"}) as tracker:
        report = tracked(lambda _: None, tracker)
        report(ROWS[0])
        report(ROWS[3])
    assert said[0]["mode"] == "offline" and said[0]["dir"] == str(tmp_path / "w") and said[0]["config"] == {"kind": "ease"}
    assert said[1:] == [
        ("sequence/*", "sequence/step"), {"sequence/loss": 5.5, "sequence/step": 20},
        ("search-ease/*", "search-ease/step"), {"search-ease/value": 0.25, "search-ease/step": 3}, "finished",
    ]  # fmt: skip
