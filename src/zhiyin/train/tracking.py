"""What a run reports, as curves: TensorBoard files, or Weights & Biases offline. Neither reaches the network.

The plain log (``log.jsonl``) is written whether somebody tracks or not. A row such as
``{"stage": "sequence", "step": 40, "loss": 5.1}`` becomes the point ``sequence/loss`` at step 40.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from zhiyin.base.clock import now_us
from zhiyin.base.errors import MissingExtraError, UnknownNameError, nearest
from zhiyin.data.run import Report

TRACKERS = ("tensorboard", "wandb")
_NO_CURVE = ("stage", "step", "of", "trial", "epoch")


class Tracker(Protocol):
    """Keeps points of named curves."""

    def point(self, name: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in ``folder/tensorboard``; look at them with ``tensorboard --logdir``. Choose it to look at curves at once."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise _missing("tensorboard") from None
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder / "tensorboard"))

    def point(self, name: str, value: float, step: int) -> None:
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=value)])
        self._writer.add_event(self._event(wall_time=now_us() / 1e6, step=step, summary=summary))

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """An offline run in ``folder/wandb``; ``wandb sync`` sends it, if ever, by hand. Choose it to keep many runs side by side."""

    def __init__(self, folder: Path, title: str, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would tell its makers of its own errors
        try:
            import wandb
        except ImportError:
            raise _missing("wandb") from None
        folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True)
        self._run = wandb.init(mode="offline", project="zhiyin", name=title, config=dict(config), dir=str(folder), settings=settings)
        self._stages: set[str] = set()

    def point(self, name: str, value: float, step: int) -> None:
        # Stages count their own steps, and wandb refuses steps that go back: each stage brings its own axis.
        stage = name.rpartition("/")[0]
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        self._run.log({name: value, f"{stage}/step": step})

    def close(self) -> None:
        self._run.finish()


@contextmanager
def tracking(name: str | None, folder: Path, title: str = "", config: Mapping[str, Any] | None = None) -> Iterator[Tracker | None]:
    """Open the tracker of that name, and close it whatever happens; None = nobody tracks.

    Raises ``UnknownNameError`` for another name, ``MissingExtraError`` where its package is not installed.
    """
    check_tracker(name)
    if name is None:
        yield None
        return
    tracker: Tracker = TensorBoard(folder) if name == "tensorboard" else Wandb(folder, title, config or {})
    try:
        yield tracker
    finally:
        tracker.close()


def check_tracker(name: str | None) -> None:
    """Refuse a name nobody knows or a package that is absent, before any work is done."""
    from importlib.util import find_spec

    if name is None:
        return
    if name not in TRACKERS:
        raise UnknownNameError(f"no tracker is named '{name}'", nearest(name, TRACKERS))
    if find_spec(name) is None:
        raise _missing(name)


def tracked(report: Report, tracker: Tracker | None) -> Report:
    """The same report, every number of which also becomes a point of a curve."""
    if tracker is None:
        return report

    def both(row: Mapping[str, Any]) -> None:
        report(row)
        stage = str(row.get("stage", "work")).replace(" ", "-")
        if "trial" in row:
            stage = f"trial-{row['trial']}/{stage}"
        for key, value in row.items():
            if key not in _NO_CURVE and isinstance(value, int | float) and not isinstance(value, bool):
                tracker.point(f"{stage}/{key}", float(value), int(row.get("step", 0)))

    return both


def _missing(name: str) -> MissingExtraError:
    return MissingExtraError(f"--tracker {name} needs {name}, which is not installed", f'pip install "zhiyin[{name}]"')
