"""How much memory this process has needed at its worst moment so far."""

from __future__ import annotations

import sys


def peak_gb() -> float:
    """The high-water mark of resident memory in GB; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
