"""The candidate asks the history which events matter for it: DIN. See ``nn.ranking.AttentionBody`` for the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Float32
from zhiyin.models.rank.neural import HistorySpec, Seen, Weights, linear, mlp, relu

if TYPE_CHECKING:
    from torch import nn


class AttentionSpec(HistorySpec):
    """Choose when people have several interests at once and what matters depends on the candidate.

    ``attention`` is the width of the network that weighs events. See ``convolution`` when short patterns in
    order matter, ``trees`` when columns already say what the history holds.
    """

    kind: ClassVar[str] = "attention"

    attention: Annotated[int, Field(ge=1)] = 16

    def body(self, n_columns: int, n_codes: int) -> nn.Module:
        from zhiyin.nn.ranking import AttentionBody

        return AttentionBody(
            width=n_columns + n_codes * self.dim,
            dim=self.dim,
            time=self.history_len,
            attention=self.attention,
            hidden=self.hidden,
            dropout=self.dropout,
        )

    def logits(self, w: Weights, seen: Seen) -> Float32:
        past, candidate = seen.past[seen.request], seen.candidate
        inner = linear(w, "body.of_event", seen.past)[seen.request]
        inner += linear(w, "body.of_both", past * candidate[:, None])
        inner += linear(w, "body.of_candidate", candidate)[:, None]
        matter = linear(w, "body.weigh", relu(inner))[:, :, 0] + w["body.age"]
        weight = np.exp(np.minimum(matter, 20)) * seen.there[seen.request]
        interest = (weight[:, None] @ past)[:, 0] / (1 + weight.sum(axis=1, keepdims=True))
        x = np.concatenate([seen.flat, candidate, interest, candidate * interest], axis=1)
        return linear(w, "body.out", mlp(w, "body.mlp", x))[:, 0]
