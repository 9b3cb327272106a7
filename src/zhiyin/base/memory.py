"""Memory of this process: how much it has needed, and what of it the collector need not look at again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def peak_gb() -> float:
    """The high-water mark of resident memory in GB; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def settle() -> None:
    """Collect once, then let the collector pass over what is alive: for a server, after something large was built.

    Full collections over millions of old objects stopped every answer for 100 to 500 ms; without them p99 at 600
    requests a second fell from 130-200 to 13 ms (bench/serve.py, sustained).
    """
    gc.collect()
    gc.freeze()


@contextmanager
def lasting() -> Iterator[None]:
    """What is made within stays, and the collector never looks at it: for imports and for a server that is being opened.

    Looking through a hundred thousand new objects again and again took a tenth of the time to the first answer.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
