"""How long a thread may compute before another gets its turn: a tenth of the usual while something is late.

A model that spins in Python holds the interpreter for 5 ms at a time (``sys.setswitchinterval``), and an event needs
several turns to be taken: all who ask wait. Shorter turns always would cost every answer CPU (measured: docs/experiments.md).
"""

from __future__ import annotations

import sys
import threading

USUAL_S = sys.getswitchinterval()
SHORT_S = 0.0005
SOON = 1 / 3
"""They begin when so much of a deadline is left."""
_late: set[int] = set()
_lock = threading.Lock()


def shorter(for_: object, wanted: bool) -> None:
    """Take shorter turns from now on, for somebody who is late; usual ones again once nobody wants them."""
    with _lock:
        if wanted:
            _late.add(id(for_))
        else:
            _late.discard(id(for_))
        sys.setswitchinterval(SHORT_S if _late else USUAL_S)
