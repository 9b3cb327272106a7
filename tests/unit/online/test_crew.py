"""Work beside the model: in time or instead, and what hangs costs one thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from zhiyin.base.errors import ConfigError
from zhiyin.online.crew import Crew
from zhiyin.online.turns import SHORT_S, USUAL_S


def all_late(crew: Crew) -> bool:
    return crew.late


def instead(why: str) -> str:
    return f"instead: {why}"


@pytest.fixture
def go() -> Iterator[threading.Event]:
    go = threading.Event()
    yield go
    go.set()


def test_what_is_in_time_is_given_and_errors_go_to_whoever_deserves_them(caplog: pytest.LogCaptureFixture) -> None:
    def wrong() -> str:
        raise ConfigError("no such filter")

    def broken() -> str:
        raise ValueError("secret")

    async def main() -> None:
        crew = Crew("test", deadline_s=20)
        assert await asyncio.gather(*(crew.within(partial(str, n), instead) for n in range(50))) == [str(n) for n in range(50)]
        with pytest.raises(ConfigError, match="no such filter"):
            await crew.within(wrong, instead)
        assert await crew.within(broken, instead) == "instead: it failed (ValueError)"
        crew.close()

    asyncio.run(main())
    assert "secret" in caplog.text


def test_hung_threads_cost_quality_and_come_back(go: threading.Event) -> None:
    def hang() -> str:
        go.wait(20)
        return "late"

    async def main() -> None:
        crew = Crew("test", n=2, deadline_s=0.02)
        assert await crew.within(hang, instead) == "instead: slow"
        assert not all_late(crew)
        crew.deadline_s = 20
        assert await crew.within(lambda: "the other thread", instead) == "the other thread"
        crew.deadline_s = 0.02
        assert await crew.within(hang, instead) == "instead: slow"
        assert all_late(crew)
        assert sys.getswitchinterval() == pytest.approx(SHORT_S)
        crew.deadline_s = 20
        assert await crew.within(lambda: "nobody is left", instead) == "instead: slow"
        go.set()
        while all_late(crew) or sys.getswitchinterval() < USUAL_S / 2:
            await asyncio.sleep(0.001)
        assert await crew.within(lambda: "again", instead) == "again"
        crew.close()

    asyncio.run(main())


def test_what_nobody_waits_for_any_more_is_not_begun(go: threading.Event) -> None:
    begun: list[int] = []

    def begin(n: int) -> str:
        begun.append(n)
        return ""

    async def main() -> None:
        crew = Crew("test", n=1, deadline_s=0.02)
        waiting = [asyncio.create_task(crew.within(lambda: str(go.wait(20)), instead))]
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(crew.within(partial(begin, n), instead)) for n in range(2)]
        assert await asyncio.gather(*waiting) == ["instead: slow"] * 3
        go.set()
        while all_late(crew):
            await asyncio.sleep(0.001)
        crew.deadline_s = 20
        assert await crew.within(lambda: "next", instead) == "next"
        crew.close()

    asyncio.run(main())
    assert begun == []
