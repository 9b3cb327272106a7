"""Fingerprints: equal content gives equal text, on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
