"""The one place that reads a clock. Models never call it: time reaches them as an argument."""

from __future__ import annotations

import time


def now_us() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


def cpu_s() -> float:
    """Processor seconds this process has used so far, all threads together."""
    return time.process_time()
