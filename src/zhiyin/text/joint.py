"""Two encoders read the same text; their unit rows stand side by side, with equal say.

The cosine of two joint rows is the mean of the parts' cosines. A language model knows that a drill
is a tool, the catalogue's own words know the part number: measured on cold items (amazon18) the
joint vectors find more than either part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.digest import digest_json
from zhiyin.text.encoder import EncoderState, TextEncoder, unit_rows


class JointEncoder:
    """Choose it for catalogues with names, models and part numbers; ``minilm+catalogue`` by name."""

    def __init__(self, parts: Sequence[TextEncoder]) -> None:
        self.parts = tuple(parts)
        self.name = " + ".join(part.name for part in self.parts)

    @property
    def dim(self) -> int:
        return sum(part.dim for part in self.parts)

    @property
    def fingerprint(self) -> str:
        return digest_json({"joint": [part.fingerprint for part in self.parts]})

    def encode(self, texts: Sequence[str]) -> Float32:
        return unit_rows(np.hstack([part.encode(texts) for part in self.parts]))

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Of the part that reads most: what one cannot read, another may."""
        return min(part.unknown_share(texts) for part in self.parts)

    def describe(self) -> EncoderState:
        states = [part.describe() for part in self.parts]
        arrays: dict[str, AnyArray] = {f"{i}.{name}": a for i, state in enumerate(states) for name, a in state.arrays.items()}
        return EncoderState(arrays, {"encoder": "joint", "parts": [dict(s.meta) for s in states], "fingerprint": self.fingerprint})


def part_states(state: EncoderState) -> list[EncoderState]:
    """The states of the parts, as they were described."""

    def arrays_of(i: int) -> dict[str, AnyArray]:
        return {name.removeprefix(f"{i}."): a for name, a in state.arrays.items() if name.startswith(f"{i}.")}

    return [EncoderState(arrays_of(i), meta) for i, meta in enumerate(state.meta["parts"])]
