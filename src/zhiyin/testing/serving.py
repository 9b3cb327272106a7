"""A real server process of one's own for tests and benchmarks.

with serving(Path("shop")) as server:
    httpx.get(f"{server.address}/health/ready")
    server.kill()
    server.start()
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zhiyin.base.errors import StoreError
from zhiyin.testing.servers import free_port

_PATIENCE_S = 60.0
_COMMAND = "from zhiyin.cli.app import main; main()"


class Served:
    """``zhiyin serve`` over folders, on a port that stays the same over restarts; what it says goes to ``log``."""

    def __init__(self, folders: Sequence[Path], options: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        arguments = ["serve", *map(str, folders), "--port", str(self.port), *options]
        self._command = [sys.executable, "-c", _COMMAND, *arguments]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once connections are taken. Raises ``StoreError`` where the server ends instead."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._process = process
        end = time.monotonic() + _PATIENCE_S
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        self.kill()
        raise StoreError(f"the server did not start: {self.log.read_text(errors='replace')[-500:].strip()}", "Look at its words.")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait; gives its exit code, which is -15 for SIGTERM."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """As if somebody pulled the plug of the process."""
        self.stop(signal.SIGKILL)


@contextlib.contextmanager
def serving(*folders: Path, options: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A running server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="zhiyin-serving-") as place:
        served = Served(folders, options, environment or {}, Path(place) / "log")
        try:
            served.start()
            yield served
        finally:
            served.kill()
