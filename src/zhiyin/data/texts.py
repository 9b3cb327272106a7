"""Many texts as two arrays: what a model file can hold, and what is read from a mapped one a text at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from zhiyin.base.arrays import AnyArray


def packed(texts: pa.Array | Iterable[str]) -> dict[str, AnyArray]:
    """All texts as one, ``text`` (n_bytes,) in UTF-8, and where each begins and ends, ``offsets`` (n + 1,)."""
    array = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.string())
    if not len(array):
        return {"offsets": np.zeros(1, np.int32), "text": np.zeros(0, np.uint8)}
    _, offsets, text = array.buffers()
    at = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return {"offsets": at - at[0], "text": np.frombuffer(text or b"", np.uint8)[at[0] : at[-1]]}


def unpacked(arrays: Mapping[str, AnyArray]) -> pa.Array:
    """The texts again, over the same memory."""
    offsets, text = (pa.py_buffer(np.ascontiguousarray(arrays[name])) for name in ("offsets", "text"))
    return pa.StringArray.from_buffers(len(arrays["offsets"]) - 1, offsets, text)
