"""Fingerprints: equal content gives equal text, on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIECE = 2**24
_READ = 2**18  # stays near the processor between reading and summing


def digest_json(value: Any) -> str:
    """16 hex digits of a JSON-able value; key order does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_arrays(*arrays: NDArray[Any]) -> str:
    """16 hex digits of shapes, dtypes and bytes."""
    h = hashlib.sha256()
    for array in arrays:
        h.update(f"{array.shape}{array.dtype.str}".encode())
        h.update(np.ascontiguousarray(array).data)
    return h.hexdigest()[:16]


def sha256_file(path: Path) -> str:
    """All 64 hex digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def crc32_file(path: Path) -> list[int]:
    """CRC-32 of every 16 MiB of a file: finds damage, not malice, at several times the speed of ``sha256_file``.

    Pieces are summed side by side, and read instead of mapped, so that a file of any size leaves nothing in memory.
    """
    starts = range(0, path.stat().st_size, _PIECE)
    n_threads = min(len(starts), os.cpu_count() or 1, 4)
    if n_threads <= 1:
        return [_crc32(path, start) for start in starts]
    with ThreadPoolExecutor(n_threads, "zhiyin-crc32") as threads:
        return list(threads.map(lambda start: _crc32(path, start), starts))


def _crc32(path: Path, start: int) -> int:
    buffer, left, total = memoryview(bytearray(_READ)), _PIECE, 0
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (n := file.readinto(buffer[:left])):
            total = zlib.crc32(buffer[:n], total)
            left -= n
    return total
