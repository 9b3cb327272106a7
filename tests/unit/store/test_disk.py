"""The real disk and the one in memory do the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from zhiyin.store.disk import Disk
from zhiyin.testing.disks import MemoryDisk


@pytest.mark.parametrize("disk", [Disk(), MemoryDisk()], ids=["real", "memory"])
def test_file_operations(disk: Disk, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    disk.make_folder(folder)
    assert disk.names(folder) == []
    file = disk.grow(folder / "f")
    file.write(b"hello ")
    file.write(b"world")
    file.sync()
    before = disk.identity(folder / "f")
    assert disk.read(folder / "f") == b"hello world" and disk.read(folder / "f", 6) == b"world" and disk.read(folder / "f", 2, 3) == b"llo"
    file.cut(5)
    assert disk.identity(folder / "f") != before and bytes(disk.mapped(folder / "f")) == b"hello"
    file.write(b"!")
    file.close()
    more = disk.grow(folder / "f")
    more.write(b"?")
    more.close()
    assert disk.read(folder / "f") == b"hello!?"
    disk.write_new(folder / "g", b"new")
    number = disk.identity(folder / "f")
    disk.rename(folder / "g", folder / "f")
    assert disk.read(folder / "f") == b"new" and disk.names(folder) == ["f"] and disk.identity(folder / "f") != number
    disk.sync_folder(folder)
    disk.remove(folder / "f")
    disk.remove(folder / "f")
    with pytest.raises(FileNotFoundError):
        disk.read(folder / "f")
    with pytest.raises(FileNotFoundError):
        disk.identity(folder / "f")


@pytest.mark.parametrize("disk", [Disk(), MemoryDisk()], ids=["real", "memory"])
def test_locks_and_words_are_shared(disk: Disk, tmp_path: Path) -> None:
    one, two = disk.lock(tmp_path / "lock"), disk.lock(tmp_path / "lock")
    assert one.take(wait=False) and not two.take(wait=False)
    one.release()
    assert two.take(wait=True) and not one.take(wait=False)
    two.close()
    assert one.take(wait=False)
    one.close()
    words = [disk.words(tmp_path / "words", 3) for _ in range(2)]
    words[0][1] = 2**63
    assert words[1].tolist() == [0, 2**63, 0]
    assert disk.boot() == disk.boot() > 0


def test_a_power_cut_keeps_what_was_flushed_and_some_of_the_rest(tmp_path: Path) -> None:
    disk = MemoryDisk()
    file = disk.grow(tmp_path / "f")
    file.write(b"safe")
    file.sync()
    disk.sync_folder(tmp_path)
    file.write(b"more")
    disk.grow(tmp_path / "new").write(b"x")
    left = {
        (bytes(back.content(tmp_path / "f")), tuple(back.names(tmp_path)))
        for back in map(disk.after_power_cut, map(random.Random, range(99)))
    }
    assert {content for content, _ in left} >= {b"safe", b"safemore", b"safe\0\0\0\0"}
    assert all(content.startswith(b"safe") for content, _ in left)
    assert {names for _, names in left} == {("f",), ("f", "new")}
    assert disk.copy().read(tmp_path / "f") == b"safemore"
