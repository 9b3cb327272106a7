"""Which items a model is taught to tell its target from."""

from __future__ import annotations

import torch
from torch import Tensor


def popularity_log_q(counts: Tensor, power: float, n: int) -> Tensor:
    """Log of the expected draws per item when n are drawn with p ~ (count + 1)^power: (n_items,)."""
    weights = (counts.double() + 1.0) ** power
    return torch.log(n * weights / weights.sum()).float()


def draw(log_q: Tensor, n: int) -> Tensor:
    """n item numbers with replacement, with probabilities proportional to exp(log_q)."""
    return torch.multinomial(log_q.double().softmax(0), n, replacement=True)
