"""The two towers of the sequence model: what an item is, and what a history means."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zhiyin.nn.attention import CausalBlock


class ItemTower(nn.Module):
    """Row of an item = its own embedding + gate * adapter(text vector): (n_items, dim).

    ``id_dropout`` hides the embeddings of that share of items at each step, so that the text path
    alone learns to be good enough: it is all a new item has. ``gate`` (dim,) says how
    much of the text enters each dimension.
    """

    def __init__(self, *, n_items: int, dim: int, text: Tensor | None, id_dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(n_items, dim) * 0.02)
        self.id_dropout = id_dropout
        self.text = text
        if text is not None:
            self.adapter = nn.Linear(text.shape[1], dim, bias=False)
            nn.init.normal_(self.adapter.weight, std=0.02)
            self.gate = nn.Parameter(torch.ones(dim))

    def forward(self) -> Tensor:
        if self.text is None:
            return self.embedding
        own: Tensor = self.embedding
        if self.training and self.id_dropout:
            own = own * (torch.rand(len(own), 1) >= self.id_dropout)
        row: Tensor = own + self.gate * self.adapter(self.text)
        return row


class HistoryTower(nn.Module):
    """Item rows of a history (batch, time, dim) -> state after each event (batch, time, dim).

    Events of one instant (the things of one basket) see each other and are equally far from all others.
    """

    def __init__(self, *, dim: int, layers: int, heads: int, max_len: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.scale = math.sqrt(dim)
        self.dropout = dropout
        self.blocks = nn.ModuleList(
            CausalBlock(dim=dim, heads=heads, max_len=max_len, hidden=hidden, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, rows: Tensor, instants: Tensor | None = None) -> Tensor:
        """``instants`` (batch, time) rise along each row; None = every event has its own."""
        if instants is None:
            instants = torch.arange(rows.shape[1])[None]
        distance = instants[:, :, None] - instants[:, None, :]
        x = F.dropout(rows * self.scale, self.dropout, self.training)
        for block in self.blocks:
            x = block(x, distance)
        state: Tensor = self.norm(x)
        return state
