"""Filters over the last events: a convolutional ranker after Caser. See ``nn.ranking.ConvolutionBody`` for the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import Float32
from zhiyin.models.rank.neural import HistorySpec, Seen, Weights, linear, mlp, relu

if TYPE_CHECKING:
    from torch import nn


class ConvolutionSpec(HistorySpec):
    """Choose when what comes next shows in short patterns of the last events; cheap, once per request.

    ``heights`` are the lengths of patterns in events, ``filters`` their number per length. See ``attention``
    when any event of a long history may matter.
    """

    kind: ClassVar[str] = "convolution"

    history_len: Annotated[int, Field(ge=1)] = 10
    heights: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 3)
    filters: Annotated[int, Field(ge=1)] = 16

    @model_validator(mode="after")
    def _patterns_fit(self) -> ConvolutionSpec:
        if max(self.heights) > self.history_len:
            raise ValueError(f"a pattern of {max(self.heights)} events does not fit into history_len = {self.history_len}")
        return self

    def body(self, n_columns: int, n_codes: int) -> nn.Module:
        from zhiyin.nn.ranking import ConvolutionBody

        return ConvolutionBody(
            width=n_columns + n_codes * self.dim,
            dim=self.dim,
            time=self.history_len,
            filters=self.filters,
            heights=self.heights,
            hidden=self.hidden,
            dropout=self.dropout,
        )

    def logits(self, w: Weights, seen: Seen) -> Float32:
        found = [self._found(w, i, height, seen.past) for i, height in enumerate(self.heights)]
        sums = linear(w, "body.sums", seen.past.transpose(0, 2, 1)).reshape(len(seen.past), -1)
        taste = relu(linear(w, "body.taste", np.concatenate([*found, sums], axis=1)))[seen.request]
        x = np.concatenate([seen.flat, seen.candidate, taste, seen.candidate * taste], axis=1)
        return linear(w, "body.out", mlp(w, "body.mlp", x))[:, 0]

    def _found(self, w: Weights, i: int, height: int, past: Float32) -> Float32:
        """How strongly each pattern of one length occurs anywhere: (n_requests, filters)."""
        kernel = w[f"body.patterns.{i}.weight"]  # (filters, dim, height)
        stops = self.history_len - height + 1
        sums = np.stack([past[:, k : k + stops] @ kernel[:, :, k].T for k in range(height)]).sum(axis=0)
        return np.asarray(relu(sums + w[f"body.patterns.{i}.bias"]).max(axis=1), np.float32)
