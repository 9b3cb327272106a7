"""A few threads for work that may take too long: whoever waits is answered in time, and what hangs costs one thread.

``Engine`` is for the asks that models answer together; a ``Crew`` is for everything else that reads a model or an index.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from zhiyin.base.errors import ZhiyinError
from zhiyin.online.turns import SOON, shorter

log = logging.getLogger("zhiyin.serve")
R = TypeVar("R")


class _Job(NamedTuple):
    """``answer`` is there when the work is done, or when nobody waits for it any more."""

    work: Callable[[], Any]
    answer: asyncio.Future[Any]


class Crew:
    """``within`` gives what ``work`` returns, or what ``instead`` says of the reason once ``deadline_s`` is over.

    Call it from one event loop only. While every thread is busy with something that is over its deadline, nobody waits.
    The threads are daemons: one that hangs does not keep the process from ending, as those of an executor would.
    """

    def __init__(self, name: str, *, n: int = 2, deadline_s: float = 0.04, most: int = 1024) -> None:
        self.deadline_s = deadline_s
        self._n = n
        self._most = most
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._now: list[_Job | None] = [None] * n  # what each thread is at
        self._hurried = False
        self._loop: asyncio.AbstractEventLoop | None = None
        for i in range(n):
            threading.Thread(target=self._run, args=(i,), name=f"zhiyin-{name}-{i}", daemon=True).start()

    @property
    def late(self) -> bool:
        """True while no thread is left that is in time."""
        return all(job is not None and job.answer.done() for job in self._now)

    async def within(self, work: Callable[[], R], instead: Callable[[str], R]) -> R:
        """Errors that a caller deserves (``ZhiyinError``) are raised; any other is logged, and its kind is a reason."""
        if self.late:
            return instead("slow")
        if self._jobs.qsize() >= self._most:
            return instead("busy")
        loop = self._loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future())
        soon = loop.call_later(self.deadline_s * (1 - SOON), self._soon)
        over = loop.call_later(self.deadline_s, self._over, job)
        self._jobs.put(job)
        try:
            found, failed = await job.answer
        finally:
            soon.cancel()
            over.cancel()
        if isinstance(failed, ZhiyinError):
            raise failed
        answer: R = found if failed is None else instead(str(failed))
        return answer

    def close(self) -> None:
        """Let the threads end after what they hold."""
        shorter(self, False)
        for _ in range(self._n):
            self._jobs.put(None)

    def _soon(self) -> None:
        """On the loop, which gets more turns from now on: a thread that spins would make what is said instead late too."""
        self._hurried = True
        shorter(self, True)

    def _over(self, job: _Job) -> None:
        """On the loop: nobody waits longer than this."""
        if not job.answer.done():
            job.answer.set_result((None, "slow"))

    def _run(self, i: int) -> None:
        while (job := self._jobs.get()) is not None:
            self._now[i] = job
            found, failed = (None, None) if job.answer.done() else _tried(job.work)
            self._now[i] = None
            self._tell(job, found, failed)

    def _tell(self, job: _Job, found: Any, failed: ZhiyinError | str | None) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._done, job, found, failed)
        except RuntimeError:  # closed between the two lines: nobody waits any more
            return

    def _done(self, job: _Job, found: Any, failed: ZhiyinError | str | None) -> None:
        """On the loop."""
        if not job.answer.done():
            job.answer.set_result((found, failed))
        if self._hurried and not any(now is not None and now.answer.done() for now in self._now):
            self._hurried = False
            shorter(self, False)


def _tried(work: Callable[[], Any]) -> tuple[Any, ZhiyinError | str | None]:
    """What the work gives, or the error a caller deserves, or a reason; the words of other errors may speak of anybody and
    stay in the log."""
    try:
        return work(), None
    except ZhiyinError as error:
        return None, error
    except Exception as error:
        log.error("work beside the model failed", exc_info=error)
        return None, f"it failed ({type(error).__name__})"
