from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from zhiyin.base.digest import crc32_file

PIECE = 2**24


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, 2 * PIECE + 7])
def test_crc32_of_every_16_mib(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert crc32_file(tmp_path / "file") == [zlib.crc32(content[at : at + PIECE]) for at in range(0, size, PIECE)]
