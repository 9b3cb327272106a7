"""The one training loop: evaluate, save, stop, step, log.

It can be killed at any instant: batches and dropout depend only on (seed, epoch, step), so a resume
from the last checkpoint goes on exactly where an uninterrupted run would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from zhiyin.base.clock import cpu_s
from zhiyin.base.errors import FitError
from zhiyin.data.run import Report
from zhiyin.train import checkpoint
from zhiyin.train.log import write_line
from zhiyin.train.schedule import warm_linear

Loss = Callable[[Tensor], tuple[Tensor, int]]
"""A batch -> mean loss, and over how many targets."""


@dataclass(frozen=True)
class Settings:
    """``patience`` = validations without a new best before stopping; ``save_every`` in steps."""

    epochs: int
    learning_rate: float
    l2: float = 0.0
    clip: float = 1.0
    warm_up: int = 100
    validate_every: int = 1
    patience: int = 3
    save_every: int = 200
    seed: int = 0
    stage: str = "train"


def train(
    net: nn.Module,
    batches: Callable[[int], Sequence[Tensor]],
    loss_of: Loss,
    settings: Settings,
    *,
    validate: Callable[[], float] | None = None,
    folder: Path | None = None,
    fingerprint: str = "",
    report: Report,
) -> float | None:
    """Fit ``net`` in place and leave it with its best parameters; returns their validation metric.

    ``batches(epoch)`` gives the same list for the same epoch; ``validate()`` is higher when better.
    Raises ``FitError`` when the loss is not finite.
    """
    torch.manual_seed(settings.seed)
    optimizer = _optimizer(net, settings)
    at, best = checkpoint.Progress(fingerprint), dict[str, Tensor]()
    if folder is not None and (found := checkpoint.load(folder, fingerprint, net, optimizer)) is not None:
        at, best = found
        write_line(folder, {"stage": settings.stage, "resumed_at_step": at.step})
    total = settings.epochs * max(len(batches(0)), 1)
    started = cpu_s()
    while at.epoch < settings.epochs and not at.stopped:
        todo = batches(at.epoch)
        net.train()
        while at.batch < len(todo):
            _step(net, optimizer, todo[at.batch], loss_of, settings, at, total)
            at.batch += 1
            if at.step % 20 == 0:
                report({"stage": settings.stage, "step": at.step, "of": total, "loss": at.loss_sum / max(at.loss_rows, 1), "best": at.best})
            if folder is not None and at.step % settings.save_every == 0:
                checkpoint.save(folder, at, net, optimizer, best)
        row = {"stage": settings.stage, "epoch": at.epoch + 1, "loss": at.loss_sum / max(at.loss_rows, 1)}
        at.epoch, at.batch, at.loss_sum, at.loss_rows = at.epoch + 1, 0, 0.0, 0
        if validate is not None and (at.epoch % settings.validate_every == 0 or at.epoch == settings.epochs):
            net.eval()
            row["validation"] = value = validate()
            if at.best is None or value > at.best:
                at.best, at.best_epoch = value, at.epoch
                best = {k: v.clone() for k, v in net.state_dict().items()}
            at.stopped = at.epoch - at.best_epoch >= settings.patience * settings.validate_every
        row["cpu_s"] = round(cpu_s() - started, 1)
        write_line(folder, row)
        report({**row, "step": at.step, "of": total})
        if folder is not None:
            checkpoint.save(folder, at, net, optimizer, best)
    if best:
        net.load_state_dict(best)
    net.eval()
    return at.best


def _optimizer(net: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW; decay only on weight matrices of layers, not on embeddings, norms, gates and biases."""
    decayed = [p for n, p in net.named_parameters() if p.ndim == 2 and n.endswith("weight")]
    others = [p for n, p in net.named_parameters() if not (p.ndim == 2 and n.endswith("weight"))]
    groups = [{"params": decayed, "weight_decay": settings.l2}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def _step(
    net: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor, loss_of: Loss, settings: Settings, at: checkpoint.Progress, total: int
) -> None:
    torch.manual_seed(settings.seed * 1_000_003 + at.step)  # dropout of a step does not depend on the steps before it
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * warm_linear(at.step, total, settings.warm_up)
    loss, n = loss_of(batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
    optimizer.step()
    value = float(loss.detach())
    if not value < float("inf"):
        raise FitError(f"the loss of stage '{settings.stage}' is {value} at step {at.step}", "Lower learning_rate.")
    at.step += 1
    at.loss_sum += value * n
    at.loss_rows += n
