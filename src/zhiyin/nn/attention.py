"""One causal Transformer block over events, newest last."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalBlock(nn.Module):
    """Pre-norm attention and feed-forward on (batch, time, dim); an event sees its own instant and those before.

    Order enters twice, both relative, so any window of a history means the same: a learned bias per
    head and distance in instants (0 .. max_len - 1) on the attention logits, and a learned share of the
    previous event mixed into the attention input ("shift": a bigram memory). Padding must be at the end
    and later than everything, so that causality hides it.
    """

    def __init__(self, *, dim: int, heads: int, max_len: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm_attention = nn.LayerNorm(dim)
        self.shift = nn.Parameter(torch.zeros(dim))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.distance_bias = nn.Parameter(torch.zeros(heads, max_len))
        self.out = nn.Linear(dim, dim)
        self.norm_forward = nn.LayerNorm(dim)
        self.forward_in = nn.Linear(dim, hidden)
        self.forward_out = nn.Linear(hidden, dim)
        for layer in (self.qkv, self.out, self.forward_in, self.forward_out):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """``distance`` (batch or 1, time, time): how many instants the key (last axis) is before the query."""
        batch, time, dim = x.shape
        y = self.norm_attention(x)
        y = y + self.shift * F.pad(y, (0, 0, 1, 0))[:, :-1]
        q, k, v = self.qkv(y).view(batch, time, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias(distance).expand(batch, -1, -1, -1))
        y = self.out(y.transpose(1, 2).reshape(batch, time, dim))
        x = x + F.dropout(y, self.dropout, self.training)
        y = F.relu(self.forward_in(self.norm_forward(x)))
        y = self.forward_out(F.dropout(y, self.dropout, self.training))
        return x + F.dropout(y, self.dropout, self.training)

    def bias(self, distance: Tensor) -> Tensor:
        """(batch or 1, heads, time, time): learned for the past, -inf for the future."""
        learned: Tensor = LookUp.apply(self.distance_bias, distance.clamp(min=0))  # type: ignore[no-untyped-call]
        return learned.masked_fill((distance < 0)[:, None], float("-inf"))


class LookUp(torch.autograd.Function):
    """``table`` (rows, width) at ``at`` (batch, time, time): (batch, rows, time, time), its gradient by bincount.

    The gradient of ``table[:, at]`` is a general scatter: with baskets, where every window has its own
    distances, it was the largest part of a step. Counting into a few hundred bins takes a third of it.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, at: Tensor) -> Tensor:
        ctx.save_for_backward(at)
        ctx.width = table.shape[1]
        return torch.stack([row[at] for row in table], dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (at,) = ctx.saved_tensors
        (grad,) = grads
        where = at.flatten()
        return torch.stack([torch.bincount(where, head.flatten(), ctx.width) for head in grad.unbind(1)]), None
