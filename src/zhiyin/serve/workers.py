"""Several processes behind one port: a parent that listens and watches, workers that answer.

All accept from one listening socket, so a connection waits for whoever is free, and none is lost with a worker that dies
before taking it. A worker that ended is started again, after a pause that doubles while it keeps ending at once. When the
parent is told to stop, every worker answers what it was asked; when it is killed, the workers see its pipe close and stop too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from zhiyin.base.errors import ConfigError, MissingDataError, ZhiyinError
from zhiyin.serve import logs
from zhiyin.serve.access import Keys
from zhiyin.serve.listen import address, bound, prepared
from zhiyin.serve.meter import MULTIPROCESS
from zhiyin.serve.run import check_names, kept, open_server
from zhiyin.serve.settings import Settings, check_open

log = logging.getLogger("zhiyin.serve")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
STEADY_S = 30.0
"""A worker that ran so long ended for another reason than the one before it."""
LOOK_S = 0.05
PATIENCE_S = 20.0
"""So long workers have for what they were asked; then they are killed."""
_READY = b"ready\n"
_MISTAKE = 2


class Order(msgspec.Struct, frozen=True):
    """What a worker is told on its standard input; ``number`` 0 also trains on schedule."""

    number: int
    listening: int
    folders: list[str]
    settings: dict[str, Any]


@dataclass
class Worker:
    """One place among the workers, and the process that fills it (None while it pauses)."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    begun_s: float = 0.0
    again_s: float = 0.0
    n_failed: int = 0
    ready: threading.Event | None = None


def supervise(folders: Sequence[Path], settings: Settings, told: Callable[[str], None]) -> None:
    """Serve with several workers until told to stop. ``told`` hears the address once a worker answers.

    Raises ``ConfigError`` where no worker can begin.
    """
    homes = [folder.with_name(f"{folder.name}.live") for folder in folders]
    missing = next((folder for folder, home in zip(folders, homes, strict=True) if not folder.is_dir() and not home.is_dir()), None)
    if missing is not None:
        raise MissingDataError(f"there is no folder '{missing}'", "Train one first: zhiyin train DATA --out FOLDER.")
    check_names([folder.name for folder in folders], settings)
    check_open(settings, [folder.name for folder, home in zip(folders, homes, strict=True) if Keys(home).open])
    taken = bound(settings)
    with _told_to_stop() as stopping, tempfile.TemporaryDirectory(prefix="zhiyin-metrics-") as metrics, logs.to_stderr():
        team = Team(folders, settings, taken, Path(metrics))
        try:
            team.begin()
            spoken = False
            while not stopping.wait(LOOK_S):
                team.look()
                if not spoken and team.answering:
                    spoken = True
                    told(address(settings, taken))
        finally:
            taken.close()
            team.end()


class Team:
    """The workers of one server."""

    def __init__(self, folders: Sequence[Path], settings: Settings, taken: socket.socket, metrics: Path) -> None:
        self.folders = [str(folder.absolute()) for folder in folders]
        self.settings = settings
        self.taken = taken
        self.metrics = metrics
        self.workers = [Worker(number) for number in range(settings.workers)]
        self._ever_ready = False

    @property
    def answering(self) -> bool:
        """Whether some worker answers."""
        return any(worker.ready is not None and worker.ready.is_set() for worker in self.workers)

    def begin(self) -> None:
        for worker in self.workers:
            self._start(worker)

    def look(self) -> None:
        """Take leave of workers that ended, and start those whose pause is over."""
        now = time.monotonic()
        self._ever_ready |= self.answering
        for worker in self.workers:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                self._ended(worker, code, now)
            elif worker.process is None and now >= worker.again_s:
                self._start(worker)

    def end(self) -> None:
        """Let every worker answer what it was asked; kill those that take too long."""
        running = [worker.process for worker in self.workers if worker.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + PATIENCE_S
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _let_go(process)

    def _start(self, worker: Worker) -> None:
        self.taken.set_inheritable(True)
        order = Order(worker.number, self.taken.fileno(), self.folders, self.settings.model_dump(mode="json"))
        command = [sys.executable, "-c", "from zhiyin.serve.workers import work; work()"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[self.taken.fileno()], process_group=0,
            env={**os.environ, MULTIPROCESS: str(self.metrics)},
        )  # fmt: skip
        worker.process, worker.begun_s, worker.ready = process, time.monotonic(), threading.Event()
        if process.stdin is not None:
            # It stays open: its end tells the worker that nobody watches any more.
            try:
                process.stdin.write(msgspec.json.encode(order) + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                return  # it ended already, and is looked at next
        threading.Thread(target=_listened, args=(process, worker.ready), daemon=True).start()

    def _ended(self, worker: Worker, code: int, now: float) -> None:
        if worker.process is not None:
            _let_go(worker.process)
        if not self._ever_ready and code == _MISTAKE:
            raise ConfigError("no worker could begin", "What it said stands above.")
        worker.n_failed = 1 if now - worker.begun_s >= STEADY_S else worker.n_failed + 1
        pause_s = min(FIRST_PAUSE_S * 2 ** (worker.n_failed - 1), LONGEST_PAUSE_S)
        fields = {"worker": worker.number, "code": code, "again_in_s": pause_s}
        log.error("a worker ended and is started again", extra={"fields": fields})
        worker.process, worker.ready, worker.again_s = None, None, now + pause_s


def _let_go(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _listened(process: subprocess.Popen[bytes], ready: threading.Event) -> None:
    if process.stdout is not None:
        with process.stdout as said:
            if said.readline() == _READY:
                ready.set()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """Set when somebody presses ctrl-C or says TERM; within the block neither ends the process."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def work() -> None:
    """What a worker runs: its order comes on standard input, whose end is the end of the parent."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    settings = Settings.parse(order.settings, "the settings of the server")
    if order.number:
        settings = settings.model_copy(update={"retrain_every_h": None})  # one of them is enough
    threading.Thread(target=_until_alone, name="zhiyin-parent", daemon=True).start()
    try:
        server, app = open_server([Path(folder) for folder in order.folders], settings)
    except ZhiyinError as error:
        print(f"zhiyin: {error}", file=sys.stderr)
        raise SystemExit(_MISTAKE) from None
    kept(server, settings)
    listening = socket.socket(fileno=order.listening)
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    with logs.to_stderr():
        prepared(server, app, settings).run(sockets=[listening])


def _until_alone() -> None:
    while os.read(0, 1):  # not through sys.stdin: a thread in there when the process ends would crash it
        pass
    os.kill(os.getpid(), signal.SIGTERM)
