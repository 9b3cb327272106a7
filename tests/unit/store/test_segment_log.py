"""The segment log under damage, full disks, I/O errors and several writers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import StoreError
from zhiyin.store.event_log import packed
from zhiyin.store.frames import MARK, MARKS, Frame, framed, scan
from zhiyin.store.segment_log import SegmentLog
from zhiyin.testing.disks import MemoryDisk
from zhiyin.testing.store_contracts import event, events

FOLDER = Path("/log")


def opened(disk: MemoryDisk, size: int = 1 << 20, **told: object) -> SegmentLog:
    return SegmentLog(FOLDER, disk=disk, segment_bytes=size, **told)  # type: ignore[arg-type]


def names(log: SegmentLog) -> list[str]:
    return [record.event_id for _, record in log.read()]


def ids(n: int, start: int = 0) -> list[str]:
    return [f"e{i}" for i in range(start, start + n)]


def segments(disk: MemoryDisk) -> list[Path]:
    return [FOLDER / name for name in disk.names(FOLDER) if name.endswith(".log")]


def filled(size: int = 1 << 20, n: int = 30) -> MemoryDisk:
    disk = MemoryDisk()
    log = opened(disk, size)
    for record in events(n):
        log.append([record])
    log.close()
    return disk


WHOLE = filled()
(ONLY,) = segments(WHOLE)
ENDS = [found.end for found in scan(bytes(WHOLE.content(ONLY)))]


@given(st.integers(0, ENDS[-1]), st.binary(max_size=40))
@example(560, b"\x01")
@settings(max_examples=150, deadline=None)
def test_a_tail_cut_anywhere_leaves_a_prefix_and_the_log_goes_on(size: int, junk: bytes) -> None:
    disk = WHOLE.copy()
    del disk.content(ONLY)[size:]
    disk.content(ONLY).extend(junk)
    log = opened(disk)
    left = len(names(log))
    sound = sum(end <= size for end in ENDS)
    assert names(log) == ids(left)
    assert left == sound or (left > sound and "a flipped bit" in log.status().notes[0])  # when the junk is what was cut, but for a bit
    assert bool(log.status().notes) == ((size + len(junk)) not in (0, *ENDS) or bool(junk))
    assert log.append(events(30)) == [False] * left + [True] * (30 - left)
    log.close()
    again = opened(disk)
    assert names(again) == ids(30)
    # A bit that is put right stays as it is on the disk, and is told at every opening; everything else was mended.
    assert all("a flipped bit" in note for note in again.status().notes) and (left > sound or again.status().notes == ())
    again.close()


@pytest.mark.parametrize("size", [1 << 20, 300])
def test_one_flipped_bit_anywhere_loses_nothing_and_is_told(size: int) -> None:
    whole = filled(size)
    rng = random.Random(size)
    for _ in range(60):
        disk = whole.copy()
        path = rng.choice(segments(disk))
        if not disk.content(path):
            continue
        disk.content(path)[rng.randrange(len(disk.content(path)))] ^= 1 << rng.randrange(8)
        log = opened(disk, size)
        assert names(log) == ids(30)
        (note,) = log.status().notes
        assert "a flipped bit at" in note and path.name in note and "put right" in note
        assert log.append(events(30)) == [False] * 30
        log.close()


@pytest.mark.parametrize("size", [1 << 20, 300])
def test_worse_damage_in_the_middle_is_told_and_costs_only_what_it_hit(size: int) -> None:
    disk = filled(size)
    path = segments(disk)[0]
    frames = [found for found in scan(bytes(disk.content(path))) if isinstance(found, Frame)]
    hit = frames[1]
    disk.content(path)[hit.start + 8 : hit.start + 30] = b"?" * 22
    log = opened(disk, size)
    assert names(log) == ["e0", *ids(28, 2)]
    (note,) = log.status().notes
    assert note == f"'{path.name}' is damaged: {hit.end - hit.start} bytes at {hit.start} are no events"
    assert names(log) == ["e0", *ids(28, 2)] and len(log.status().notes) == 1, "the same damage is told once"
    assert log.append(events(3)) == [False, True, False], "who sends it again brings it back"
    log.close()


def test_a_damaged_or_missing_table_of_ids_is_made_again() -> None:
    disk = filled(300)
    tables = [FOLDER / name for name in disk.names(FOLDER) if name.endswith(".ids")]
    disk.content(tables[0])[50] ^= 1
    disk.content(tables[1])[:] = b"?"
    disk.remove(tables[2])
    log = opened(disk, 300)
    assert log.append(events(30)) == [False] * 30 and log.status().notes == ()
    log.close()


def test_a_full_disk_fails_the_call_and_nothing_else() -> None:
    disk = MemoryDisk(capacity=2000)
    log = opened(disk)
    kept: list[str] = []
    with pytest.raises(StoreError, match=r"cannot write: No space left on device \(E700\). Nothing of this call was kept"):
        for record in events(100):
            log.append([record])
            kept.append(record.event_id)
    assert kept and names(log) == kept and log.status().failing.endswith("No space left on device")
    with pytest.raises(StoreError):
        log.append([])  # asks whether it works again: not yet
    assert log.append([event(kept[0])]) == [False] and log.status().failing, "a known event needs no space, and proves nothing"
    assert names(log) == kept
    disk.capacity = 20_000
    assert log.append([]) == [] and not log.status().failing, "space is back"
    assert log.append(events(100)) == [False] * len(kept) + [True] * (100 - len(kept))
    log.close()
    again = opened(disk)
    assert names(again) == ids(100) and again.status().notes == ()
    again.close()


@pytest.mark.parametrize("operation", ["write", "sync", "cut", "grow", "sync_folder", "rename", "read"])
def test_io_errors_come_and_go(operation: str) -> None:
    """Whatever fails, for however long: what was answered is there once, what was refused may be sent again."""
    disk, rng = MemoryDisk(), random.Random(operation)
    log = opened(disk, 400)
    answered: set[str] = set()
    for record in events(150):
        disk.failing = {operation, *(["cut"] if rng.random() < 0.5 else [])} if rng.random() < 0.3 else set()
        try:
            assert log.append([record]) == [True]
            answered.add(record.event_id)
        except StoreError as error:
            assert "cannot write: Input/output error" in error.message
    disk.failing = set()
    assert set(names(log)) >= answered and len(names(log)) == len(set(names(log)))
    before = set(names(log))
    assert log.append(events(150)) == [name not in before for name in ids(150)]
    for reopened in (False, True):
        if reopened:
            log.close()
            log = opened(disk, 400)
        assert sorted(names(log)) == sorted(ids(150))
    log.close()


def test_reading_tells_an_io_error() -> None:
    disk = filled()
    log = opened(disk)
    disk.failing = {"read"}
    with pytest.raises(StoreError, match="event log '/log' cannot be read: Input/output error"):
        list(log.read())
    disk.failing = set()
    assert names(log) == ids(30)
    log.close()
    disk.failing = {"read"}
    with pytest.raises(StoreError, match="event log '/log' cannot be opened: Input/output error"):
        opened(disk)


def test_erasing_that_fails_can_be_repeated() -> None:
    for operation in ("write", "sync", "rename", "sync_folder", "remove", "read"):
        disk = filled(300)
        log = opened(disk, 300)
        disk.failing = {operation}
        with pytest.raises(StoreError, match="could not erase all: Input/output error"):
            log.erase(users=["u1"])
        disk.failing = set()
        assert log.append([event("between")]) == [True]
        log.erase(users=["u1"])
        left = [*(name for name in ids(30) if int(name[1:]) % 5 != 1), "between"]
        assert names(log) == left
        log.close()
        log = opened(disk, 300)
        assert names(log) == left and log.append(events(30)) == [int(name[1:]) % 5 == 1 for name in ids(30)]
        log.close()


def test_erased_words_are_in_no_file() -> None:
    disk = MemoryDisk()
    log = opened(disk, 500)
    for i in range(40):
        log.append([event(f"e{i}", user=("Ada", "Bob")[i % 2], place=f"{('Ada', 'Bob')[i % 2]}s street {i}")])
    disk.content(segments(disk)[1])[30:50] = b"?" * 20  # damage: nobody can say whose it was
    log.erase(users=["Ada"])
    everything = b"".join(bytes(disk.content(FOLDER / name)) for name in disk.names(FOLDER))
    assert b"Ada" not in everything and b"Bob" in everything and b"?" not in everything
    log.close()


def test_appends_go_on_while_erasing() -> None:
    disk = filled(300, n=60)
    log = opened(disk, 300)
    assert len(segments(disk)) > 8
    futures = [log.submit([event(f"x{i}")]) for i in range(50)]
    assert log.erase(users=["u2"]) == 12
    assert all(future.result() == [True] for future in futures)
    assert len(names(log)) == 60 - 12 + 50
    log.close()


def test_a_second_writer_gets_one_sentence(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path / "log")
    with pytest.raises(StoreError) as told:
        SegmentLog(tmp_path / "log")
    assert str(told.value) == (
        f"another process writes event log '{tmp_path}/log' (E700). Stop it, or open the log in all of them with access='share'."
    )
    log.close()
    SegmentLog(tmp_path / "log").close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        SegmentLog(tmp_path / "file" / "log")
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        SegmentLog(tmp_path / "none", access="read")
    with pytest.raises(StoreError, match="there are no events in"):
        SegmentLog(tmp_path, access="read")


def test_a_later_format_is_not_taken_for_damage() -> None:
    disk = filled()
    disk.content(ONLY)[:] = disk.content(ONLY).replace(MARK, b"\xffZ\xfe4")
    with pytest.raises(StoreError, match=r"was written by a newer zhiyin .*Upgrade"):
        opened(disk)


def test_readers_see_only_what_is_durable() -> None:
    """Another process follows the log: it never sees an event that a power cut could still take back."""
    disk = MemoryDisk()
    writer = opened(disk, 300)
    writer.append(events(3))
    reader = opened(disk, access="read")
    assert names(reader) == ids(3) and reader.status().end == 3
    with pytest.raises(StoreError, match="open for reading only"):
        reader.append(events(1))
    with pytest.raises(StoreError, match="open for reading only"):
        reader.erase(users=["u"])
    disk.failing = {"sync", "cut"}
    with pytest.raises(StoreError):
        writer.append([event("unsure")])
    assert b"unsure" in bytes(disk.content(segments(disk)[-1])) and names(reader) == ids(3) == names(writer)
    disk.failing = set()
    for start in range(3, 30, 3):
        writer.append(events(3, start))
    assert [r.event_id for _, r in reader.read(after=3)] == ids(27, 3)
    writer.close()
    off = disk.after_power_cut(random.Random(0))
    assert names(opened(off, access="read")) == ids(30) and opened(off, access="read").status().end == 30
    reader.close()


def test_several_processes_write_in_turns() -> None:
    """Each learns what the others wrote: ids, segments, erasing; a torn write of one that died is cut off by the next."""
    disk, rng = MemoryDisk(), random.Random(0)
    logs = [opened(disk, 400, access="share") for _ in range(3)]
    for i in range(60):
        log = rng.choice(logs)
        sent = events(2, i)
        assert log.append(sent) == [i == 0, True]
        if i == 30:
            disk.content(segments(disk)[-1]).extend(b"torn by one that died")
            assert logs[2].erase(users=["u3"]) == 6
    left = [name for name in ids(61) if int(name[1:]) > 31 or int(name[1:]) % 5 != 3]
    assert names(logs[0]) == names(logs[1]) == names(logs[2]) == left
    for log in logs:
        assert log.append([event("e3", user="u3"), event("e4")]) == [log is logs[0], False]
    (note,) = (note for log in logs for note in log.status().notes)
    assert note.startswith("21 bytes of an unfinished write at ") and note.endswith(".log' were cut off")
    for log in logs:
        log.close()


def test_a_place_where_a_reader_stopped_is_checked() -> None:
    """Erasing moves events in their file; a reader that stopped among them still goes on rightly."""
    disk = MemoryDisk()
    log = opened(disk)
    log.append(events(20))
    assert [position for position, _ in log.read()] == list(range(1, 21))
    assert [position for position, _ in log.read(after=17)] == [18, 19, 20]
    log.erase(users=["u1", "u2"])
    log.append(events(5, 20))
    assert [record.event_id for _, record in log.read(after=20)] == ids(5, 20)
    assert [record.event_id for _, record in log.read(after=17)] == ["e18", "e19", *ids(5, 20)]
    log.close()


def test_events_written_together_share_a_frame_and_are_erased_one_by_one() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append(events(300))
    assert [found.position for found in scan(bytes(disk.content(ONLY))) if isinstance(found, Frame)] == [1, 129, 257]
    assert log.erase(users=["u1"]) == 60
    left = [i for i in range(300) if i % 5 != 1]
    for reopened in (False, True):
        if reopened:
            log.close()
            log = opened(disk)
        for after in (0, 1, 2, 100, 128, 129, 299, 300):
            assert [(p, r.event_id) for p, r in log.read(after)] == [(i + 1, f"e{i}") for i in left if i + 1 > after]
        assert log.append(events(300)[:1] + events(300)[2:6]) == [False] * 5
    log.close()


def test_a_flipped_bit_in_a_shared_frame_costs_nothing_and_worse_only_this_frame() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append(events(300))
    log.close()
    whole, rng = bytes(disk.content(ONLY)), random.Random(3)
    for _ in range(40):
        disk.content(ONLY)[:] = whole
        disk.content(ONLY)[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        log = opened(disk)
        assert names(log) == ids(300) and "put right" in log.status().notes[0]
        log.close()
    disk.content(ONLY)[:] = whole
    disk.content(ONLY)[50:60] = b"?" * 10
    log = opened(disk)
    assert names(log) == ids(172, 128) and log.append(events(300)) == [True] * 128 + [False] * 172
    log.close()


def test_a_log_of_version_1_is_read_and_goes_on_in_a_segment_of_its_own() -> None:
    """An older zhiyin that is put back refuses the newer segment, instead of taking it for damage."""
    disk = MemoryDisk()
    old = b"".join(framed(position, payload).replace(MARK, MARKS[1]) for position, payload in enumerate(packed(events(5)).payloads, 1))
    disk.make_folder(FOLDER)
    disk.grow(ONLY).write(old)
    log = opened(disk)
    assert names(log) == ids(5) and log.append(events(8)) == [False] * 5 + [True] * 3
    assert bytes(disk.content(ONLY)) == old and len(segments(disk)) == 2
    assert names(log) == ids(8) and log.erase(users=["u1"]) == 2
    log.close()
    again = opened(disk)
    assert names(again) == [name for name in ids(8) if name not in ("e1", "e6")] and again.status().notes == ()
    again.close()


def test_what_was_just_written_is_not_read_from_the_disk_and_not_seen_once_another_erased_it() -> None:
    disk = MemoryDisk()
    mine, other = (opened(disk, access="share") for _ in range(2))
    mine.append(events(10))
    disk.failing = {"read"}
    assert names(mine) == ids(10) and [p for p, _ in mine.read(4)] == [5, 6, 7, 8, 9, 10]
    disk.failing = set()
    assert other.erase(users=["u1"]) == 2
    assert names(mine) == [name for name in ids(10) if name not in ("e1", "e6")]
    other.append(events(3, 10))
    mine.append(events(3, 13))
    assert [record.event_id for _, record in mine.read(10)] == ids(6, 10)
    for log in (mine, other):
        log.close()


def test_damage_at_the_very_end_is_told_from_a_torn_write_while_the_machine_runs() -> None:
    for restarted in (False, True):
        disk = MemoryDisk()
        log = opened(disk)
        log.append(events(3))
        log.append(events(3, 3))
        log.close()
        disk = disk.after_power_cut(random.Random(0)) if restarted else disk
        hit = [found for found in scan(bytes(disk.content(ONLY))) if isinstance(found, Frame)][1]
        disk.content(ONLY)[hit.start + 30 : hit.start + 60] = bytes(30)
        reader = opened(disk, access="read")
        assert names(reader) == ids(3) and bool(reader.status().notes) == (not restarted)
        log = opened(disk)
        (note,) = log.status().notes
        assert ("is damaged: " in note) == (not restarted) and ("unfinished write" in note) == restarted
        assert log.append(events(6)) == [False] * 3 + [True] * 3
        assert [position for position, _ in log.read()] == ([1, 2, 3, 4, 5, 6] if restarted else [1, 2, 3, 7, 8, 9])
        log.close()
