"""What a server writes about itself: one JSON object a line, about operations, never about people.

A line holds no ids, no query, no address, no header and no secret: not even the words of an unexpected error, which may
quote any of them, but its kind and where in the code it happened (``ZHIYIN_TRACEBACK=1`` writes the words too). Lines
are written by a thread of their own, at most some hundred a second; how many were left out is said.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from traceback import extract_tb
from typing import Any, TextIO

import msgspec

WAITING = 1_000
"""Lines that may wait for a slow reader of stderr; more are left out and counted."""
PER_S = 100
requests = logging.getLogger("zhiyin.requests")


class JsonLines(logging.Formatter):
    """A record as one JSON object. ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= _of_error(record.exc_info[1])
        return msgspec.json.encode(line, enc_hook=str).decode()


def _of_error(error: BaseException) -> dict[str, Any]:
    """Its kind and the innermost places, without its words."""
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in extract_tb(error.__traceback__)[-8:]]
    said: dict[str, Any] = {"error": type(error).__name__, "places": places}
    if os.environ.get("ZHIYIN_TRACEBACK"):
        said["words"] = str(error)
    return said


class Bounded(QueueHandler):
    """Hands lines to the writing thread; where they come too fast they are counted instead."""

    def __init__(self, lines: queue.Queue[Any], per_s: int = PER_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(lines)
        self._lines = lines
        self.left_out = 0
        self._per_s = per_s
        self._clock = clock
        self._second = -1
        self._n = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Unchanged: the thread is one of this process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._n = second, 0
        if self._n >= self._per_s or self._lines.full():
            self.left_out += 1
            return
        self._n += 1
        if self.left_out:
            record.__dict__["fields"] = {**record.__dict__.get("fields", {}), "left_out_before": self.left_out}
            self.left_out = 0
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(record)


@contextlib.contextmanager
def to_stderr(stream: TextIO | None = None) -> Iterator[None]:
    """Write the log of the server as JSON lines within this block; what waits is written at its end."""
    lines: queue.Queue[Any] = queue.Queue(WAITING)
    writer = logging.StreamHandler(stream or sys.stderr)
    writer.setFormatter(JsonLines())
    handler = Bounded(lines)
    listener = QueueListener(lines, writer)
    levels = {"zhiyin": logging.INFO, "uvicorn": logging.ERROR}
    before = [(logging.getLogger(name), logging.getLogger(name).level, logging.getLogger(name).propagate) for name in levels]
    listener.start()
    try:
        for name, level in levels.items():
            logger = logging.getLogger(name)
            logger.addHandler(handler)
            logger.setLevel(level)
            logger.propagate = False
        yield
    finally:
        for logger, old_level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
        listener.stop()


class Sampled:
    """A line for every so many requests (``share`` of all), and for each that failed on the side of the server."""

    def __init__(self, share: float) -> None:
        self._every = round(1 / share) if share > 0 else 0
        self._n = 0

    def __call__(self, operation: str, tenant: str, status: int, took_s: float, n_bytes: int) -> None:
        self._n += 1
        failed = status >= 500
        if not failed and (not self._every or self._n % self._every):
            return
        fields = {"operation": operation, "tenant": tenant, "status": status, "ms": round(took_s * 1000, 2), "bytes": n_bytes}
        requests.log(logging.WARNING if failed else logging.INFO, "request", extra={"fields": fields})
