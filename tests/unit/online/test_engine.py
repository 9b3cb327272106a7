"""The engine: every ask is answered, by the model or without it, whatever the model does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence

import pytest

from zhiyin.online.engine import MOST_TOGETHER, Engine

Work = Callable[[Sequence[int]], Sequence[str]]


def run(work: Work, talk: Callable[[Engine[int, str]], Coroutine[None, None, None]], deadline_s: float = 5.0) -> None:
    engine: Engine[int, str] = Engine(work, lambda ask, why: f"fallback {ask}: {why}", deadline_s=deadline_s)
    try:
        asyncio.run(talk(engine))
    finally:
        engine.close()


def plain(asks: Sequence[int]) -> list[str]:
    return [str(ask) for ask in asks]


def test_every_ask_gets_its_own_answer_and_batches_are_bounded() -> None:
    sizes: list[int] = []

    def work(asks: Sequence[int]) -> list[str]:
        sizes.append(len(asks))
        return plain(asks)

    async def talk(engine: Engine[int, str]) -> None:
        assert await asyncio.gather(*(engine.ask(i) for i in range(500))) == [str(i) for i in range(500)]

    run(work, talk)
    assert sum(sizes) == 500
    assert max(sizes) <= MOST_TOGETHER


def test_a_model_that_hangs_costs_quality_and_comes_back() -> None:
    gate = threading.Event()

    def work(asks: Sequence[int]) -> list[str]:
        if 1 in asks:
            gate.wait(30)
        return plain(asks)

    async def talk(engine: Engine[int, str]) -> None:
        assert await engine.ask(1) == "fallback 1: slow"
        assert engine.late
        assert await engine.ask(2) == "fallback 2: slow"
        gate.set()
        while engine.late:
            await asyncio.sleep(0.01)
        assert await engine.ask(3) == "3"

    run(work, talk, deadline_s=0.05)


def test_a_model_that_fails_on_one_ask_answers_the_others() -> None:
    def work(asks: Sequence[int]) -> list[str]:
        if 7 in asks:
            raise ValueError("seven")
        return plain(asks)

    async def talk(engine: Engine[int, str]) -> None:
        found = await asyncio.gather(*(engine.ask(i) for i in range(6, 9)))
        assert found == ["6", "fallback 7: the model failed (ValueError)", "8"]

    run(work, talk)


def test_a_fallback_that_fails_too_is_an_error_of_that_ask_alone() -> None:
    def work(asks: Sequence[int]) -> list[str]:
        if asks[0] == 1:
            raise ValueError("no")
        return plain(asks)

    def fallback(ask: int, why: str) -> str:
        raise RuntimeError(why)

    engine: Engine[int, str] = Engine(work, fallback, deadline_s=5.0)

    async def talk() -> None:
        with pytest.raises(RuntimeError, match="the model failed"):
            await engine.ask(1)
        assert await engine.ask(2) == "2"

    try:
        asyncio.run(talk())
    finally:
        engine.close()


def test_slow_asks_are_taken_a_few_at_a_time() -> None:
    sizes: list[int] = []

    def work(asks: Sequence[int]) -> list[str]:
        sizes.append(len(asks))
        threading.Event().wait(0.02 * len(asks))
        return plain(asks)

    async def talk(engine: Engine[int, str]) -> None:
        await engine.ask(0)
        await asyncio.gather(*(engine.ask(i) for i in range(1, 9)))

    run(work, talk, deadline_s=0.3)
    assert max(sizes[1:]) <= 5
