"""What a hidden state is taught: which item comes next.

All take hidden states ``h`` (n, dim), an item table ``w`` (n_items, dim) and targets (n,), and return
the mean loss. The full softmax never stores all logits: loss and both gradients are made chunk by
chunk in the forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_LOGITS = 2_000_000
"""Logits held at once: 8 MB in float32, about what a core's cache keeps warm."""


def fast_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, float32 elsewhere."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, w: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        n = len(h)
        w_fast, h_fast = w.to(dtype), h.to(dtype)
        dh, dw = torch.empty_like(h), torch.zeros_like(w)
        loss = torch.zeros((), dtype=torch.float32)
        rows = max(CHUNK_LOGITS // len(w), 16)
        for start in range(0, n, rows):
            part = h_fast[start : start + rows]
            wanted = targets[start : start + rows, None]
            logits = (part @ w_fast.T).float()
            norm = logits.logsumexp(1, keepdim=True)
            loss += (norm - logits.gather(1, wanted)).sum()
            probability = logits.sub_(norm).exp_()
            probability.scatter_add_(1, wanted, torch.full_like(norm, -1.0))
            gradient = probability.to(dtype)
            dh[start : start + rows] = (gradient @ w_fast).float()
            dw += (gradient.T @ part).float()
        ctx.save_for_backward(dh.div_(n), dw.div_(n))
        return loss / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        dh, dw = ctx.saved_tensors
        return grads[0] * dh, grads[0] * dw, None, None


def full_softmax(h: Tensor, w: Tensor, targets: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Cross-entropy over the whole catalogue. Choose it as long as n_items is below some 50,000."""
    loss: Tensor = _FullSoftmax.apply(h, w, targets, dtype or fast_dtype())  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax(h: Tensor, w: Tensor, targets: Tensor, negatives: Tensor, log_q: Tensor) -> Tensor:
    """Cross-entropy over the target and shared sampled negatives, corrected for how they were drawn.

    ``negatives`` (m,) item numbers drawn with probability q; ``log_q`` (n_items,) = log of the expected
    number of draws. Yi et al., "Sampling-bias-corrected neural modeling", RecSys 2019. Choose it for
    catalogues too large for ``full_softmax``.
    """
    drawn = h @ w[negatives].T - log_q[negatives]
    drawn = drawn.masked_fill(negatives[None] == targets[:, None], float("-inf"))
    positive = (h * w[targets]).sum(1, keepdim=True) - log_q[targets, None]
    logits = torch.cat([positive, drawn], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(h), dtype=torch.long))


def gbce(h: Tensor, w: Tensor, targets: Tensor, negatives: Tensor, calibration: float = 0.75) -> Tensor:
    """Binary cross-entropy with the overconfidence of negative sampling taken out.

    The positive probability is raised to beta = a (t (1 - 1/a) + 1/a), a = m / (n_items - 1), with m
    shared uniform negatives and t = ``calibration``. Petrov & Macdonald, "gSASRec", RecSys 2023.
    Choose it where scores should read as probabilities of one item at a time.
    """
    rate = len(negatives) / max(len(w) - 1, 1)
    beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    positive = (h * w[targets]).sum(1)
    drawn = h @ w[negatives].T
    clash = negatives[None] == targets[:, None]
    against = F.softplus(drawn).masked_fill(clash, 0.0).sum(1)
    return (beta * F.softplus(-positive) + against).mean()
