"""The files of a bundle and their sums. Light, so that a server can begin to sum what it will read before it imports the rest."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from pathlib import Path

from zhiyin.base.digest import crc32_file

MANIFEST = "manifest.json"
ARRAYS = "arrays.safetensors"

_Stamp = tuple[int, int, int, int]
_ahead: dict[Path, Future[tuple[_Stamp, list[int]]]] = {}


def sum_ahead(folder: Path) -> None:
    """Begin to sum the files of a bundle in a thread; ``crc32_of`` waits for it. What goes wrong is said where they are read."""
    with contextlib.suppress(OSError):
        begun = {path.absolute(): Future[tuple[_Stamp, list[int]]]() for path in folder.iterdir() if path.name != MANIFEST}
        _ahead.update(begun)
        threading.Thread(target=_sum, args=(begun,), name="zhiyin-sums", daemon=True).start()


def crc32_of(path: Path) -> list[int]:
    """``crc32_file``, begun ahead or not; each beginning serves once, and for the very file it was made of."""
    begun = _ahead.pop(path.absolute(), None)
    if begun is not None:
        with contextlib.suppress(Exception):  # whatever it was, it is met again below
            stamp, sums = begun.result()
            if stamp == _stamp(path):
                return sums
    return crc32_file(path)


def _sum(begun: dict[Path, Future[tuple[_Stamp, list[int]]]]) -> None:
    for path, future in begun.items():
        try:
            stamp = _stamp(path)
            future.set_result((stamp, crc32_file(path, spare=1)))
        except Exception as error:
            future.set_exception(error)


def _stamp(path: Path) -> _Stamp:
    """Another one for another file of that name, and for one that was written to since."""
    told = path.stat()
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns
