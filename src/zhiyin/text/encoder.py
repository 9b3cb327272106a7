"""What turns words into unit vectors: one protocol, whoever stands behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32


@dataclass(frozen=True, slots=True)
class EncoderState:
    """What an encoder needs to come back: arrays for safetensors, the rest for JSON.

    ``meta["encoder"]`` names its kind; ``choose.restore_encoder`` reads it.
    """

    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to unit rows. Equal fingerprints promise vectors of one space, equal for equal text."""

    @property
    def name(self) -> str:
        """What people read in reports."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """16 hex digits of everything the vectors depend on."""
        ...

    def encode(self, texts: Sequence[str]) -> Float32:
        """(n, dim) unit rows; a text with nothing to read in it gives a zero row."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Share 0..1 of tokens the encoder cannot read ([UNK]); 0 when there are none at all."""
        ...

    def describe(self) -> EncoderState:
        """What a bundle stores of it."""
        ...


def unit_rows(matrix: AnyArray) -> Float32:
    """Rows of length 1; rows that are (nearly) zero become exactly zero."""
    rows = np.asarray(matrix, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    out: Float32 = np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-12)
    return out
