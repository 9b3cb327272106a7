"""A real PostgreSQL and a real Redis of one's own for tests and benchmarks, from the binaries of this machine.

    with temporary_postgresql() as url: ...
    with temporary_redis() as url: ...

Both listen on loopback only, keep their files in a temporary folder, and are gone afterwards.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zhiyin.base.errors import MissingDataError, StoreError

_START_S = 60.0


def postgresql_binaries() -> Path:
    """Where initdb and postgres are. Raises MissingDataError, a sentence to skip a test with."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found or not (found[-1] / "initdb").exists():
        raise MissingDataError("no PostgreSQL server on this machine", "apt-get install postgresql")
    return found[-1]


def redis_binary() -> str:
    """The path of redis-server. Raises MissingDataError, a sentence to skip a test with."""
    found = shutil.which("redis-server")
    if found is None:
        raise MissingDataError("no redis-server on this machine", "apt-get install redis-server")
    return found


@contextlib.contextmanager
def temporary_postgresql(*, fsync: bool = True) -> Iterator[str]:
    """The address of an empty database. Without ``fsync`` it starts and writes faster and forgets all in a power cut."""
    binaries = postgresql_binaries()
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="zhiyin-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            if user not in {entry.pw_name for entry in pwd.getpwall()}:
                raise MissingDataError("PostgreSQL does not run as root, and there is no user 'postgres'", "apt-get install postgresql")
            shutil.chown(folder, user)
        data = f"{folder}/data"
        made = _run([str(binaries / "initdb"), "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"], user)
        if made.returncode:
            raise StoreError(f"initdb failed: {made.stderr.strip()}", "Look at its words.")
        port = free_port()
        settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "on" if fsync else "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _running([str(binaries / "postgres"), "-D", data, *options], user, port, Path(folder) / "log"):
            ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
            _wait_until(lambda: _run(ready, user).returncode == 0)
            yield f"postgresql://{user}@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def temporary_redis() -> Iterator[str]:
    """The address of an empty Redis that keeps nothing on disk."""
    binary, port = redis_binary(), free_port()
    with tempfile.TemporaryDirectory(prefix="zhiyin-redis-") as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
        with _running(command, None, port, Path(folder) / "log"):
            yield f"redis://127.0.0.1:{port}/0"


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(command: Sequence[str], user: str | None, port: int, log: Path) -> Iterator[None]:
    """A server process that listens on a port while the block runs."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, user=_other(user), group=_other(user), cwd="/")
        try:
            _wait_until(lambda: process.poll() is not None or _listens(port))
            if process.poll() is not None:
                raise StoreError(f"'{command[0]}' did not start: {log.read_text(errors='replace').strip()[-500:]}", "Look at its words.")
            yield
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL then ends at once, without waiting for its clients
            try:
                process.wait(timeout=_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _run(command: Sequence[str], user: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, user=_other(user), group=_other(user), cwd="/", capture_output=True, text=True, check=False)


def _other(user: str | None) -> str | None:
    """The user to become; None to stay who we are."""
    return user if os.geteuid() == 0 else None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(done: Callable[[], bool]) -> None:
    """Ask twenty times a second. Raises StoreError after a minute."""
    for _ in range(round(_START_S / 0.05)):
        if done():
            return
        time.sleep(0.05)
    raise StoreError("a server did not get ready within a minute", "The machine may be overloaded.")
