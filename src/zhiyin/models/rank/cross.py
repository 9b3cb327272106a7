"""Networks that multiply columns: DCN-v2 (layers of crosses) and FinalMLP (two streams). See ``nn.ranking`` for the papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.models.rank.columns import sigmoid
from zhiyin.models.rank.neural import NeuralSpec, Seen, Weights, linear, mlp

if TYPE_CHECKING:
    from torch import nn


class CrossSpec(NeuralSpec):
    """Choose when codes (context, people, items by ``embed``) and their products matter and examples are many.

    ``form``: "cross" is DCN-v2 with ``layers`` crosses beside the MLP, "two_stream" is FinalMLP. For numbers
    alone ``trees`` need fewer examples; see ``bilinear`` for every pair weighed on its own.
    """

    kind: ClassVar[str] = "cross"

    form: Literal["cross", "two_stream"] = "cross"
    layers: Annotated[int, Field(ge=1)] = 2

    def body(self, n_columns: int, n_codes: int) -> nn.Module:
        from zhiyin.nn.ranking import CrossBody, TwoStreamBody

        width = n_columns + n_codes * self.dim
        if self.form == "two_stream":
            return TwoStreamBody(width=width, hidden=self.hidden, dropout=self.dropout)
        return CrossBody(width=width, layers=self.layers, hidden=self.hidden, dropout=self.dropout)

    def logits(self, w: Weights, seen: Seen) -> Float32:
        start = x = seen.flat
        if self.form == "two_stream":
            one, two = (
                mlp(w, f"body.streams.{i}", (2 * sigmoid(linear(w, f"body.gates.{i}", start)) * start).astype(np.float32)) for i in (0, 1)
            )
            together = ((one @ w["body.fusion"]) * two).sum(axis=1)
            return np.asarray(linear(w, "body.out", np.concatenate([one, two], axis=1))[:, 0] + together, np.float32)
        for i in range(self.layers):
            x = start * linear(w, f"body.crosses.{i}", x) + x
        return linear(w, "body.out", np.concatenate([x, mlp(w, "body.mlp", start)], axis=1))[:, 0]
