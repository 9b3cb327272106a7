"""Learning rates as functions of the step."""

from __future__ import annotations


def warm_linear(step: int, total: int, warm_up: int = 100, floor: float = 0.02) -> float:
    """Factor on the learning rate: up over ``warm_up`` steps, then straight down to ``floor``."""
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    return rise * max(floor, 1.0 - step / max(total, 1))
