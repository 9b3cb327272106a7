"""The faults of ``faults.py`` in stores, folders and clocks: how each begins and ends, and what must be true meanwhile."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from serve_process import Process, zhiyin
from serve_world import small
from zhiyin.store.bundle import MANIFEST
from zhiyin.store.segment_log import SegmentLog

HERE = Path(__file__).parent
ASK = 'POST /v1/shop/recommend {"user":"u%d","n":10}'
TMPFS_MB = 48


@dataclass
class Bed:
    """A folder with a trained shop, and the means that the fault needs."""

    folder: Path
    shop: Path
    serve: Callable[[], Process]
    held: dict[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> Path:
        return self.shop.with_name("shop.live")

    def events(self) -> dict[str, str]:
        """What the log holds: id -> everything else of the event, as text."""
        log = SegmentLog(self.live / "events", access="read")
        try:
            return {event.event_id: msgspec.json.encode(event).decode() for _, event in log.read()}
        finally:
            log.close()


@contextmanager
def plain(folder: Path) -> Iterator[Bed]:
    shop = small(folder)
    yield Bed(folder, shop, lambda: zhiyin(shop))


@contextmanager
def on_tmpfs(folder: Path) -> Iterator[Bed]:
    """The folder is a file system of a few MB in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)], check=True)
    with tempfile.TemporaryDirectory(prefix="zhiyin-faults-") as beside:
        try:
            shop = small(folder)
            yield Bed(Path(beside), shop, lambda: zhiyin(shop))
        finally:
            subprocess.run(["umount", str(folder)], check=False)


@contextmanager
def preloaded(folder: Path) -> Iterator[Bed]:
    """Writes and clocks go through ``fault_shim.c``."""
    library, said = folder / "shim.so", folder / "fault"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "fault_shim.c"), "-ldl"], check=True)
    said.write_bytes(bytes(16))
    shop = small(folder)
    env = {"LD_PRELOAD": str(library), "FAULT_FILE": str(said), "FAULT_PATH": "/shop.live/"}
    yield Bed(folder, shop, lambda: zhiyin(shop, env=env), {"said": said})


def nothing(bed: Bed, server: Process) -> None:
    """Nothing to do."""


def nobody(bed: Bed) -> None:
    """Nothing to do."""


def fine(bed: Bed, server: Process) -> list[str]:
    """Nothing more to check."""
    return []


@dataclass(frozen=True)
class Fault:
    """``damage`` is done to the folder of a stopped server, ``begin`` and ``end`` to one that runs. ``model`` says that
    answers to ``ask`` must be marked degraded; ``check`` gives false claims."""

    name: str
    means: str
    bed: Callable[[Path], Any]
    begin: Callable[[Bed, Process], None] = nothing
    end: Callable[[Bed], None] = nobody
    damage: Callable[[Bed], None] | None = None
    model: bool = False
    ask: str = ASK
    check: Callable[[Bed, Process], list[str]] = fine


# Disks


def fill(bed: Bed, server: Process) -> None:
    """Until not one byte is left."""
    with (bed.shop.parent / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def empty(bed: Bed) -> None:
    (bed.shop.parent / "filler").unlink(missing_ok=True)


def limit(bed: Bed, server: Process) -> None:
    bed.held["limits"] = (server.pid, resource.prlimit(server.pid, resource.RLIMIT_FSIZE))
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


def unlimit(bed: Bed) -> None:
    pid, limits = bed.held.get("limits", (0, None))
    if limits is not None and Path(f"/proc/{pid}").exists():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def read_only(bed: Bed, server: Process) -> None:
    # The open files of a server forbid a read-only remount; as root, rights do not bind. What is left is the shim.
    shim(bed, errno.EROFS, 0)


def shim(bed: Bed, error: int, clock_s: int) -> None:
    with bed.held["said"].open("r+b") as file:
        file.write(struct.pack("=qq", error, clock_s))


def unshim(bed: Bed) -> None:
    shim(bed, 0, 0)


# Damage


def flip_in_log(bed: Bed) -> None:
    """One bit in each of five places of the oldest segment."""
    path = sorted((bed.live / "events").glob("*.log"))[0]
    data = bytearray(path.read_bytes())
    for at in random.Random(0).sample(range(len(data) // 10, len(data) * 9 // 10), 5):
        data[at] ^= 1 << at % 8
    path.write_bytes(data)


def _largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST), key=lambda path: path.stat().st_size)


def flip_in_model(bed: Bed) -> None:
    path = _largest(bed.shop)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def cut_model(bed: Bed) -> None:
    path = _largest(bed.shop)
    os.truncate(path, path.stat().st_size // 2)


def remove_model(bed: Bed) -> None:
    shutil.move(bed.shop, bed.folder / "elsewhere")


def lock_log(bed: Bed) -> None:
    """Another process (this one) is the writer of the log."""
    handle = os.open(bed.live / "events" / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    bed.held["handle"] = handle


def unlock_log(bed: Bed) -> None:
    if "handle" in bed.held:
        os.close(bed.held.pop("handle"))


# Locks, clocks


def lock_tables(bed: Bed, server: Process) -> None:
    connection = sqlite3.connect(bed.live / "tables.sqlite", isolation_level=None, timeout=10)
    connection.execute("BEGIN EXCLUSIVE")
    bed.held["connection"] = connection


def unlock_tables(bed: Bed) -> None:
    if "connection" in bed.held:
        bed.held.pop("connection").close()


def put_is_refused(bed: Bed, server: Process) -> list[str]:
    """An item that cannot be stored must not be promised."""
    try:
        status, _ = server.ask("PUT", "/v1/shop/items/i1", '{"title":"other"}', timeout_s=15)
    except OSError:
        return ["an item put while the tables are locked gets no answer within 15 seconds"]
    return ["an item is taken that cannot be stored"] if status == 200 else []


def back(bed: Bed, server: Process) -> None:
    shim(bed, 0, -86_400)


def forth(bed: Bed, server: Process) -> None:
    shim(bed, 0, 86_400)


def event_acts(bed: Bed, server: Process) -> list[str]:
    """What somebody new did a moment ago must not be shown to him again."""
    wrong = []
    for n in range(5):
        name = f"jumped-{time.monotonic_ns()}"
        ask = json.dumps({"session": name, "n": 10})
        first = json.loads(server.ask("POST", "/v1/shop/recommend", ask)[1])["items"][0]["item"]
        event = json.dumps({"event_id": name, "session": name, "item": first})
        if server.ask("POST", "/v1/shop/event", event)[0] == 200:
            items = json.loads(server.ask("POST", "/v1/shop/recommend", ask)[1])["items"]
            if first in [item["item"] for item in items]:
                wrong.append(f"event {n + 1} of 5 was taken and does not act")
    return wrong


FAULTS = (
    Fault("disk full", "small tmpfs", on_tmpfs, fill, empty),
    Fault("disk full", "RLIMIT_FSIZE", plain, limit, unlimit),
    Fault("io error", "preload: EIO", preloaded, lambda bed, _: shim(bed, errno.EIO, 0), unshim),
    Fault("store read-only", "preload: EROFS", preloaded, read_only, unshim),
    Fault("bit flip", "in the log", plain, damage=flip_in_log),
    Fault("bit flip", "in the model", plain, damage=flip_in_model, model=True),
    Fault("truncated model", "cut to half", plain, damage=cut_model, model=True),
    Fault("model missing", "folder moved away", plain, damage=remove_model, model=True),
    Fault("clock jump", "preload: a day back", preloaded, back, unshim, check=event_acts),
    Fault("clock jump", "preload: a day forth", preloaded, forth, unshim, check=event_acts),
    Fault("store locked", "tables, by SQLite", plain, lock_tables, unlock_tables, check=put_is_refused),
    Fault("store locked", "log, at the start", plain, end=unlock_log, damage=lock_log, model=True),
)
