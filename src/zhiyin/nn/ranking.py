"""Blocks of neural rankers: from what is known of a candidate to one logit.

Every body takes ``Rows`` and gives logits (n,). All of them are small: they rank some hundred
candidates at a time on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Rows(NamedTuple):
    """n candidates of m requests. The last four are empty for bodies that do not look at histories."""

    columns: Tensor  # (n, n_columns) standardised
    codes: Tensor  # (n, n_codes, dim) embedded
    candidate: Tensor  # (n, dim)
    past: Tensor  # (m, time, dim) newest last, zero rows before the oldest
    there: Tensor  # (m, time) 1 where an event stands
    request: Tensor  # (n,) row of ``past``

    @property
    def flat(self) -> Tensor:
        """Columns and embedded codes side by side: (n, n_columns + n_codes * dim)."""
        return torch.cat([self.columns, self.codes.flatten(1)], dim=1)


class Mlp(nn.Module):
    """Linear, ReLU, dropout for every size: (n, in) -> (n, sizes[-1])."""

    def __init__(self, *, width: int, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [width, *sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        return x


def _small(width: int) -> nn.Linear:
    """A square layer that starts near zero, so that what it multiplies starts near unchanged."""
    layer = nn.Linear(width, width)
    nn.init.normal_(layer.weight, std=0.1 / width**0.5)
    return layer


class CrossBody(nn.Module):
    """DCN-v2: x_{l+1} = x_0 * (W x_l + b) + x_l beside an MLP (Wang et al., WWW 2021, arXiv:2008.13535)."""

    def __init__(self, *, width: int, layers: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.crosses = nn.ModuleList(_small(width) for _ in range(layers))
        self.mlp = Mlp(width=width, sizes=hidden, dropout=dropout)
        self.out = nn.Linear(width + hidden[-1], 1)

    def forward(self, rows: Rows) -> Tensor:
        start = x = rows.flat
        for cross in self.crosses:
            x = start * cross(x) + x
        logit: Tensor = self.out(torch.cat([x, self.mlp(start)], dim=1))[:, 0]
        return logit


class TwoStreamBody(nn.Module):
    """FinalMLP: two MLPs on differently gated inputs, fused by a bilinear form (Mao et al., AAAI 2023, arXiv:2304.00902)."""

    def __init__(self, *, width: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.gates = nn.ModuleList(_small(width) for _ in range(2))
        self.streams = nn.ModuleList(Mlp(width=width, sizes=hidden, dropout=dropout) for _ in range(2))
        self.out = nn.Linear(2 * hidden[-1], 1)
        self.fusion = nn.Parameter(torch.randn(hidden[-1], hidden[-1]) * 0.1 / hidden[-1])

    def forward(self, rows: Rows) -> Tensor:
        x = rows.flat
        one, two = (stream(2 * torch.sigmoid(gate(x)) * x) for gate, stream in zip(self.gates, self.streams, strict=True))
        logit: Tensor = self.out(torch.cat([one, two], dim=1))[:, 0] + ((one @ self.fusion) * two).sum(dim=1)
        return logit


class PairBody(nn.Module):
    """FiBiNET: fields weighed by squeeze and excitation, every pair of them by a bilinear form, then an MLP.

    Huang et al., RecSys 2019, arXiv:1905.09433. A number x becomes the field relu(x v + b) with its own
    v and b (Gorishniy et al., NeurIPS 2022); the pair (i, j) is the number v_i' W v_j.
    """

    def __init__(self, *, n_columns: int, n_codes: int, dim: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        n = n_columns + n_codes
        self.direction = nn.Parameter(torch.randn(n_columns, dim) * 0.5)
        self.start = nn.Parameter(torch.randn(n_columns, dim) * 0.5)
        self.squeeze = nn.Linear(n, max(n // 3, 1))
        self.excite = nn.Linear(max(n // 3, 1), n)
        self.pair = nn.Parameter(torch.eye(dim) / dim**0.5)
        self.mlp = Mlp(width=n_columns + n_codes * dim + n * (n - 1) // 2, sizes=hidden, dropout=dropout)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, rows: Rows) -> Tensor:
        numbers = F.relu(rows.columns[:, :, None] * self.direction + self.start)
        fields = torch.cat([numbers, rows.codes], dim=1)
        weight = 2 * torch.sigmoid(self.excite(F.relu(self.squeeze(fields.mean(dim=2)))))
        fields = fields * weight[:, :, None]
        at = torch.triu_indices(fields.shape[1], fields.shape[1], offset=1)
        pairs = (fields @ self.pair @ fields.transpose(1, 2))[:, at[0], at[1]]
        logit: Tensor = self.out(self.mlp(torch.cat([rows.flat, pairs], dim=1)))[:, 0]
        return logit


class AttentionBody(nn.Module):
    """DIN: the candidate asks the history which of its events matter for it (Zhou et al., KDD 2018, arXiv:1706.06978).

    A small network weighs each event by event, candidate and their product, with a learned part for how
    long ago; weights are exp(a_j) / (1 + sum exp(a)), so a history without anything like the candidate
    says little, and an empty one nothing.
    """

    def __init__(self, *, width: int, dim: int, time: int, attention: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.of_event = nn.Linear(dim, attention)
        self.of_candidate = nn.Linear(dim, attention, bias=False)
        self.of_both = nn.Linear(dim, attention, bias=False)
        self.weigh = nn.Linear(attention, 1)
        self.age = nn.Parameter(torch.zeros(time))
        self.mlp = Mlp(width=width + 3 * dim, sizes=hidden, dropout=dropout)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, rows: Rows) -> Tensor:
        past, candidate = rows.past[rows.request], rows.candidate
        both = self.of_both(past * candidate[:, None])
        inner = F.relu(self.of_event(rows.past)[rows.request] + self.of_candidate(candidate)[:, None] + both)
        matter: Tensor = self.weigh(inner)[:, :, 0] + self.age
        weight = torch.exp(matter.clamp(max=20)) * rows.there[rows.request]
        interest = (weight[:, :, None] * past).sum(dim=1) / (1 + weight.sum(dim=1, keepdim=True))
        x = torch.cat([rows.flat, candidate, interest, candidate * interest], dim=1)
        logit: Tensor = self.out(self.mlp(x))[:, 0]
        return logit


class ConvolutionBody(nn.Module):
    """Caser: filters over the last events find short patterns, weights over time sum them up (Tang & Wang, WSDM 2018, arXiv:1809.07426)."""

    def __init__(
        self, *, width: int, dim: int, time: int, filters: int, heights: Sequence[int], hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.patterns = nn.ModuleList(nn.Conv1d(dim, filters, height) for height in heights)
        self.sums = nn.Linear(time, 2, bias=False)
        self.taste = nn.Linear(filters * len(heights) + 2 * dim, dim)
        self.mlp = Mlp(width=width + 3 * dim, sizes=hidden, dropout=dropout)
        self.out = nn.Linear(hidden[-1], 1)

    def forward(self, rows: Rows) -> Tensor:
        past = rows.past.transpose(1, 2)
        found = [F.relu(pattern(past)).amax(dim=2) for pattern in self.patterns]
        taste = F.relu(self.taste(torch.cat([*found, self.sums(past).flatten(1)], dim=1)))[rows.request]
        x = torch.cat([rows.flat, rows.candidate, taste, rows.candidate * taste], dim=1)
        logit: Tensor = self.out(self.mlp(x))[:, 0]
        return logit
