"""Power cuts and kills at many points: no acknowledged event is lost, none counts twice, erased ones stay erased."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zhiyin.base.errors import StoreError
from zhiyin.store.segment_log import Access, SegmentLog
from zhiyin.testing.disks import MemoryDisk
from zhiyin.testing.store_contracts import events

FOLDER = Path("/log")
N = 40


def work(disk: MemoryDisk) -> tuple[set[str], set[str]]:
    """Append, restart and erase until the power is gone; ids that were acknowledged, and users whose erasing was."""
    kept: set[str] = set()
    gone: set[str] = set()
    try:
        for start in range(0, N, 20):
            log = SegmentLog(FOLDER, disk=disk, segment_bytes=300)
            for i in range(start, start + 20, 2):
                if log.append(events(3, i)):
                    kept.update(record.event_id for record in events(3, i))
                if i == 12:
                    log.erase(users=["u1"])
                    gone.add("u1")
            log.close()
    except StoreError:
        pass
    return kept, gone


def operations() -> int:
    disk = MemoryDisk()
    work(disk)
    return len(disk.operations)


def check(disk: MemoryDisk, kept: set[str], gone: set[str], where: str) -> None:
    """What must hold of the disk that the machine finds afterwards."""
    log = SegmentLog(FOLDER, disk=disk, segment_bytes=300)
    found = list(log.read())
    names = [record.event_id for _, record in found]
    assert len(names) == len(set(names)), f"an event counts twice: {where}"
    erased = {f"e{i}" for i in range(13) if i % 5 == 1}
    assert kept - erased <= set(names), f"acknowledged events are lost: {where}"
    if gone:
        assert not any(record.user == "u1" and int(record.event_id[1:]) < 12 for _, record in found), f"erased events are back: {where}"
    assert [position for position, _ in found] == sorted({position for position, _ in found})
    assert log.append(events(N + 1)) == [f"e{i}" not in names for i in range(N + 1)], f"a retry is not answered rightly: {where}"
    again = [record.event_id for _, record in log.read()]
    assert sorted(again) == sorted(f"e{i}" for i in range(N + 1)), f"after the retry everything is there once: {where}"
    log.close()


def test_power_cut_at_every_operation() -> None:
    points = operations()
    assert points > 120
    for point in range(points + 1):
        disk = MemoryDisk(power=point)
        kept, gone = work(disk)
        for seed in range(4):
            check(disk.after_power_cut(random.Random(seed)), kept, gone, f"operation {point} of {points}, seed {seed}")


def test_kill_at_every_operation() -> None:
    for point in range(operations() + 1):
        disk = MemoryDisk(power=point)
        kept, gone = work(disk)
        check(disk.copy(), kept, gone, f"operation {point}")


def test_two_power_cuts_in_a_row() -> None:
    """The second one comes while the log recovers from the first."""
    rng = random.Random(5)
    for point in range(10, operations(), 7):
        first = MemoryDisk(power=point)
        kept, gone = work(first)
        second = first.after_power_cut(rng)
        second.power = rng.randint(0, 20)
        with contextlib.suppress(StoreError):
            SegmentLog(FOLDER, disk=second, segment_bytes=300).close()
        check(second.after_power_cut(rng), kept, gone, f"operation {point}")


def test_the_flush_comes_before_the_answer() -> None:
    disk = MemoryDisk()
    log = SegmentLog(FOLDER, disk=disk)
    for record in events(20):
        before = len(disk.operations)
        log.append([record])
        assert [operation for operation, _ in disk.operations[before:]] == ["write", "sync"]
    log.close()


@pytest.mark.parametrize("access", ["own", "share"])
def test_what_a_dead_process_left_is_flushed_before_it_counts(access: Access) -> None:
    """Killed between write and flush: the event is there, a retry is told so, and then the power fails."""
    disk = MemoryDisk()
    others = [SegmentLog(FOLDER, disk=disk, access=access)]
    if access == "share":
        others.append(SegmentLog(FOLDER, disk=disk, access=access))
    disk.failing = {"sync", "cut"}
    with pytest.raises(StoreError):
        others[0].append(events(1))
    disk.failing = set()
    if access == "own":
        disk = disk.copy()
        others.append(SegmentLog(FOLDER, disk=disk))
    assert others[1].append(events(1)) == [False]
    for seed in range(5):
        back = SegmentLog(FOLDER, disk=disk.after_power_cut(random.Random(seed)))
        assert [record for _, record in back.read()] == events(1)
        back.close()
    for log in others:
        log.close()


WRITER = """
import sys
from zhiyin.data.record import EventRecord
from zhiyin.store.segment_log import SegmentLog
log = SegmentLog(sys.argv[1], segment_bytes=20_000)
for i in range(10**6):
    log.append([EventRecord(event_id=f"e{k}", item="i", user=f"u{k % 5}", time_us=k) for k in range(2 * i, 2 * i + 3)])
    print(2 * i + 2, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_kill_9_of_a_real_process(tmp_path: Path) -> None:
    rng = random.Random(1)
    for round_ in range(3):
        folder = tmp_path / str(round_)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged = -1
        for _ in range(rng.randint(20, 300)):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        if rest:
            acknowledged = int(rest[-1])
        log = SegmentLog(folder, segment_bytes=20_000)
        names = [record.event_id for _, record in log.read()]
        assert len(set(names)) == len(names) >= acknowledged + 1
        assert names == [f"e{i}" for i in range(len(names))]
        assert log.append(events(len(names) + 1)) == [False] * len(names) + [True]
        log.close()
