"""What a hidden state is taught: which item comes next.

All take hidden states ``h`` (n, dim), an item table ``w`` (n_items, dim) and targets (n,), and return
the mean loss. The full softmax never stores all logits: loss and both gradients are made chunk by
chunk in the forward pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_LOGITS = 2_000_000
"""Logits held at once: 8 MB in float32, about what a core's cache keeps warm."""


def fast_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, float32 elsewhere."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32


class Sparse(NamedTuple):
    """Something to add to a few logits, in CSR form: row i has ``values[indptr[i]:indptr[i + 1]]``."""

    indptr: Tensor  # (n + 1,) int64
    columns: Tensor  # (n_values,) int64
    values: Tensor  # (n_values,) float32


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, h: Tensor, w: Tensor, targets: Tensor, dtype: torch.dtype, indptr: Tensor, columns: Tensor, values: Tensor
    ) -> Tensor:
        n, n_items = len(h), len(w)
        w_fast, h_fast = w.to(dtype), h.to(dtype)
        dh, dw, dvalues = torch.empty_like(h), torch.zeros_like(w), torch.empty_like(values)
        loss = torch.zeros((), dtype=torch.float32)
        rows = max(CHUNK_LOGITS // n_items, 16)
        for start in range(0, n, rows):
            stop = min(start + rows, n)
            part = h_fast[start:stop]
            wanted = targets[start:stop, None]
            logits = (part @ w_fast.T).float()
            some = slice(int(indptr[start]), int(indptr[stop]))
            lengths = indptr[start + 1 : stop + 1] - indptr[start:stop]
            flat = torch.repeat_interleave(torch.arange(stop - start) * n_items, lengths) + columns[some]
            logits.view(-1).index_add_(0, flat, values[some])
            norm = logits.logsumexp(1, keepdim=True)
            loss += (norm - logits.gather(1, wanted)).sum()
            probability = logits.sub_(norm).exp_()
            probability.scatter_add_(1, wanted, torch.full_like(norm, -1.0))
            dvalues[some] = probability.view(-1)[flat]
            gradient = probability.to(dtype)
            dh[start:stop] = (gradient @ w_fast).float()
            dw += (gradient.T @ part).float()
        ctx.save_for_backward(dh.div_(n), dw.div_(n), dvalues.div_(n))
        return loss / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        dh, dw, dvalues = ctx.saved_tensors
        return grads[0] * dh, grads[0] * dw, None, None, None, None, grads[0] * dvalues


def full_softmax(h: Tensor, w: Tensor, targets: Tensor, dtype: torch.dtype | None = None, plus: Sparse | None = None) -> Tensor:
    """Cross-entropy over the whole catalogue of logits h w' + ``plus``. Choose it as long as n_items is below some 50,000."""
    if plus is None:
        none = torch.zeros(len(h) + 1, dtype=torch.int64)
        plus = Sparse(none, none[:0], torch.zeros(0))
    loss: Tensor = _FullSoftmax.apply(h, w, targets, dtype or fast_dtype(), *plus)  # type: ignore[no-untyped-call]
    return loss


class Drawn(NamedTuple):
    """Something to add to the logits of the targets and of the negatives."""

    targets: Tensor  # (n,)
    negatives: Tensor  # (n, m)


def sampled_softmax(h: Tensor, w: Tensor, targets: Tensor, negatives: Tensor, log_q: Tensor, plus: Drawn | None = None) -> Tensor:
    """Cross-entropy over the target and shared sampled negatives, corrected for how they were drawn.

    ``negatives`` (m,) item numbers drawn with probability q; ``log_q`` (n_items,) = log of the expected
    number of draws. Yi et al., "Sampling-bias-corrected neural modeling", RecSys 2019. Choose it for
    catalogues too large for ``full_softmax``.
    """
    positive, drawn = _logits(h, w, targets, negatives, plus)
    drawn = (drawn - log_q[negatives]).masked_fill(negatives[None] == targets[:, None], float("-inf"))
    logits = torch.cat([(positive - log_q[targets])[:, None], drawn], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(h), dtype=torch.long))


def gbce(h: Tensor, w: Tensor, targets: Tensor, negatives: Tensor, calibration: float = 0.75, plus: Drawn | None = None) -> Tensor:
    """Binary cross-entropy with the overconfidence of negative sampling taken out.

    The positive probability is raised to beta = a (t (1 - 1/a) + 1/a), a = m / (n_items - 1), with m
    shared uniform negatives and t = ``calibration``. Petrov & Macdonald, "gSASRec", RecSys 2023.
    Choose it where scores should read as probabilities of one item at a time.
    """
    rate = len(negatives) / max(len(w) - 1, 1)
    beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    positive, drawn = _logits(h, w, targets, negatives, plus)
    clash = negatives[None] == targets[:, None]
    against = F.softplus(drawn).masked_fill(clash, 0.0).sum(1)
    return (beta * F.softplus(-positive) + against).mean()


def _logits(h: Tensor, w: Tensor, targets: Tensor, negatives: Tensor, plus: Drawn | None) -> tuple[Tensor, Tensor]:
    """Of the target (n,) and of the shared negatives (n, m)."""
    positive, drawn = (h * w[targets]).sum(1), h @ w[negatives].T
    return (positive, drawn) if plus is None else (positive + plus.targets, drawn + plus.negatives)
