"""Group commit: one thread makes durable what many callers hand in, all that is waiting with one flush."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from zhiyin.base.errors import StoreBusyError, StoreError, ZhiyinError
from zhiyin.store.event_log import Packed, joined

Commit = Callable[[Packed], list[bool]]

GROUP_BYTES = 8 << 20
"""A group is closed at this size, so that nobody waits long for what others sent."""


class GroupCommit:
    """Calls ``commit`` with the events of all waiting callers, in order, never twice at once; all answered or all failed.

    ``max_waiting_bytes`` bounds the memory when the disk is slower than the callers, or hangs.
    """

    def __init__(self, commit: Commit, *, name: str, max_waiting_bytes: int = 64 << 20) -> None:
        self._commit = commit
        self._name = name
        self._max_waiting = max_waiting_bytes
        self._waiting: deque[tuple[Packed | Callable[[], object], int, Future[list[bool]]]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="zhiyin-log", daemon=True)
        self._thread.start()

    def submit(self, events: Packed) -> Future[list[bool]]:
        """Put events in the queue. Raises StoreBusyError when it is full."""
        return self._put(events, events.size)

    def between(self, work: Callable[[], object]) -> None:
        """Run something between two groups, on the thread that commits, and wait; what it raises is raised here."""
        self._put(work, 0).result()

    def close(self) -> None:
        """Commit what is waiting, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _put(self, what: Packed | Callable[[], object], size: int) -> Future[list[bool]]:
        future: Future[list[bool]] = Future()
        future.set_running_or_notify_cancel()  # what is in the queue will be written: it can no longer be cancelled
        with self._changed:
            if self._closed:
                raise StoreError(f"{self._name} is closed", "Open it again.")
            if self._waiting_bytes and self._waiting_bytes + size > self._max_waiting:
                raise StoreBusyError(f"{self._name} has {self._waiting_bytes:,} bytes waiting to be written", "Try again in a moment.")
            self._waiting.append((what, size, future))
            self._waiting_bytes += size
            self._changed.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
            self._take_one_group()

    def _take_one_group(self) -> None:
        what, size, future = self._waiting.popleft()
        taken = size
        if not isinstance(what, Packed):
            _settle(future, what)
        else:
            group, parts = [(future, len(what))], [what]
            while self._waiting and taken < GROUP_BYTES and isinstance(more := self._waiting[0][0], Packed):
                _, size, future = self._waiting.popleft()
                group.append((future, len(more)))
                parts.append(more)
                taken += size
            self._answer(group, joined(parts))
        with self._changed:
            self._waiting_bytes -= taken

    def _answer(self, group: list[tuple[Future[list[bool]], int]], events: Packed) -> None:
        try:
            answers = self._commit(events)
        except Exception as error:
            for future, _ in group:
                future.set_exception(self._told(error))
            return
        at = 0
        for future, n in group:
            future.set_result(answers[at : at + n])
            at += n

    def _told(self, error: Exception) -> Exception:
        """An error of its own for every caller: a traceback that is shared grows with each of them."""
        if isinstance(error, ZhiyinError):
            return type(error)(error.message, error.hint)
        return StoreError(f"{self._name} failed: {type(error).__name__}: {error}", "Please report it.")


def _settle(future: Future[list[bool]], work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result([])
