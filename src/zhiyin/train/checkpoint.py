"""All that a resume needs, in one safetensors file that replaces the old one atomically."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """Where training stands. ``best`` is None until the first validation."""

    fingerprint: str
    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    step: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best: float | None = None
    best_epoch: int = -1
    stopped: bool = False


def save(folder: Path, progress: Progress, net: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor]) -> None:
    """Write the state of network, optimizer and best parameters so far."""
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE
    partial = target.with_suffix(".partial")
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, partial, {"progress": json.dumps(asdict(progress))})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def load(folder: Path, fingerprint: str, net: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Progress, dict[str, Tensor]] | None:
    """Bring back an interrupted fit, or None when there is nothing of the same spec, data and seed."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            if progress.fingerprint != fingerprint:
                return None
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None  # a half-written or foreign file: start anew rather than fail
    net.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            moments.setdefault(int(index), {})[name] = value
    if moments:
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress, {k[5:]: v for k, v in tensors.items() if k.startswith("best.")}


def discard(folder: Path) -> None:
    """A finished fit needs no checkpoint."""
    (folder / FILE).unlink(missing_ok=True)
