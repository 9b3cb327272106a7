"""Every pair of columns weighed by a bilinear form: FiBiNET. See ``nn.ranking.PairBody`` for the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.models.rank.columns import sigmoid
from zhiyin.models.rank.neural import NeuralSpec, Seen, Weights, linear, mlp, relu

if TYPE_CHECKING:
    from torch import nn


class BilinearSpec(NeuralSpec):
    """Choose when a few dozen columns or codes matter in pairs; cost grows with the square of their number.

    See ``cross`` for products of higher order at less cost, ``trees`` when examples are few.
    """

    kind: ClassVar[str] = "bilinear"

    def body(self, n_columns: int, n_codes: int) -> nn.Module:
        from zhiyin.nn.ranking import PairBody

        return PairBody(n_columns=n_columns, n_codes=n_codes, dim=self.dim, hidden=self.hidden, dropout=self.dropout)

    def logits(self, w: Weights, seen: Seen) -> Float32:
        numbers = relu(seen.columns[:, :, None] * w["body.direction"] + w["body.start"])
        fields = np.concatenate([numbers, seen.codes], axis=1)
        weight = 2 * sigmoid(linear(w, "body.excite", relu(linear(w, "body.squeeze", fields.mean(axis=2)))))
        fields = fields * weight[:, :, None].astype(np.float32)
        first, second = np.triu_indices(fields.shape[1], k=1)
        pairs = ((fields @ w["body.pair"]) @ fields.transpose(0, 2, 1))[:, first, second]
        return linear(w, "body.out", mlp(w, "body.mlp", np.concatenate([seen.flat, pairs], axis=1)))[:, 0]
