"""An alarm clock for the main thread: what takes too long there is ended by an exception.

With it an event loop may do quick work itself and still answer when that work hangs. The exception comes between two
steps of Python, out of sleeps and out of waiting for locks; nothing ends native code that never comes back to Python.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType


class OverdueError(BaseException):
    """What was being done is over its time. No ``Exception``, so that nobody takes it for a failure of his own."""


class Alarm:
    """There is one real-time timer per process, so there is one ``ALARM``; only the main thread may use it."""

    def __init__(self) -> None:
        self._set = False

    def usable(self) -> bool:
        """Whether this thread can be interrupted, and nobody else uses the timer."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            return False
        return signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, self._ring)

    def set(self, seconds: float) -> None:
        """Raise ``OverdueError`` in the main thread after so long, unless ``clear`` comes first."""
        if signal.getsignal(signal.SIGALRM) != self._ring:
            signal.signal(signal.SIGALRM, self._ring)
        self._set = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def clear(self) -> None:
        self._set = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _ring(self, _signal: int, _frame: FrameType | None) -> None:
        if self._set:
            self._set = False
            raise OverdueError


ALARM = Alarm()
