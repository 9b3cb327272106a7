"""A server as a process: started, waited for, looked into through /proc, ended or killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from zhiyin.testing.servers import free_port

HERE = Path(__file__).parent
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
First = tuple[str, str, str | None]


class Process:
    """``command`` listens on ``port`` and answers ``first`` (method, path, body) with 200 once it works.

    ``env`` is added to the environment. What it prints goes to ``said``. Use it in a ``with``.
    """

    def __init__(
        self, command: Sequence[str], port: int, first: First, env: Mapping[str, str] | None = None, limit_s: float = 120.0
    ) -> None:
        self.port = port
        self._command = " ".join(command[:4])
        self.started = time.perf_counter()
        self._log = Path(f"/proc/self/fd/{os.memfd_create('said')}")
        self._out = self._log.open("wb")
        self.process = subprocess.Popen(command, stdout=self._out, stderr=self._out, env={**os.environ, **(env or {})})
        self._wait(first, limit_s)
        self.s_to_first_answer = time.perf_counter() - self.started

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self._log.read_bytes().decode(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def cpu_s(self) -> float:
        """User and system seconds of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def rss(self) -> int:
        """Resident bytes, pages of files that it shares included."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def anonymous(self) -> int:
        """Resident bytes that no file backs."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        return 0

    def settled(self, limit_s: float = 120.0) -> float:
        """Wait until it does nothing by itself any more; the seconds that took."""
        begun = time.perf_counter()
        before = self.cpu_s()
        while time.perf_counter() - begun < limit_s:
            time.sleep(0.5)
            if (used := self.cpu_s()) - before < 0.02:
                return time.perf_counter() - begun - 0.5
            before = used
        raise SystemExit(f"{self._command} does not come to rest")

    def has_loaded(self, name: str) -> bool:
        """True where a library of this name is mapped: asked of the system, not of Python."""
        return name in Path(f"/proc/{self.pid}/maps").read_text()

    def ask(self, method: str, path: str, body: str | None = None, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """One request on a connection of its own; raises OSError or HTTPException where there is no answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, {"content-type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask it to end, and wait; kill it after 20 seconds."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._out.close()

    def kill(self) -> None:
        """``kill -9``: it learns nothing of it."""
        self.process.kill()
        self.process.wait()

    def _wait(self, first: First, limit_s: float) -> None:
        while time.perf_counter() - self.started < limit_s:
            if not self.alive:
                raise SystemExit(f"{self._command} ended: {self.said[-3000:]}")
            with socket.socket() as probe:
                open_ = probe.connect_ex(("127.0.0.1", self.port)) == 0
            if open_:
                try:
                    if self.ask(*first)[0] == 200:
                        return
                except (OSError, HTTPException):
                    pass
            time.sleep(0.01)
        self.kill()
        raise SystemExit(f"the server did not answer within {limit_s:g} seconds: {self.said[-3000:]}")


def zhiyin(folder: Path, *more: Any, env: Mapping[str, str] | None = None, limit_s: float = 120.0) -> Process:
    """``zhiyin serve FOLDER`` on a free port, ready when it has recommended something."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("zhiyin")), "serve", str(folder), "--port", str(port), *map(str, more)]
    return Process(command, port, ("POST", f"/v1/{folder.name}/recommend", "{}"), env, limit_s)


def baseline(kind: str, *said: Any) -> Process:
    """``serve_baseline.py KIND`` on a free port."""
    port = free_port()
    command = [sys.executable, str(HERE / "serve_baseline.py"), kind, "--port", str(port), *map(str, said)]
    return Process(command, port, ("GET", "/health", None))
