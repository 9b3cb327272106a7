"""Arrays in one safetensors file, written by the safetensors package, read as memory-mapped views.

The package's own numpy reader copies every array; a view costs nothing and several processes on one
machine share the pages. The package still checks the header before it is believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from zhiyin.base.arrays import AnyArray
from zhiyin.base.errors import ModelFileError

_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
    "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
    "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip


def write_tensors(path: Path, arrays: Mapping[str, AnyArray]) -> None:
    """Write numbers and truth values of any shape; other dtypes raise ModelFileError."""
    known = {np.dtype(d) for d in _DTYPES.values()}
    for name, array in arrays.items():
        if np.asarray(array).dtype not in known:
            raise ModelFileError(f"array '{name}' has dtype {np.asarray(array).dtype}, which a model file cannot hold", "Store numbers.")
    # save_file writes the buffer as it lies: a transposed view would come back scrambled.
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)


def read_tensors(path: Path) -> dict[str, AnyArray]:
    """Read-only views by name. Raises ValueError when the file is not what safetensors writes."""
    try:
        with safe_open(path, framework="numpy") as checked:
            names = list(checked.keys())
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    content = np.memmap(path, np.uint8, mode="r")
    start = 8 + int(content[:8].view("<u8")[0])
    header = json.loads(content[8:start].tobytes())
    found: dict[str, AnyArray] = {}
    for name in names:
        entry = header[name]
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"array '{name}' has the unknown type {entry['dtype']}")
        first, last = entry["data_offsets"]
        found[name] = np.asarray(content[start + first : start + last]).view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return found
