"""The thread that computes: what one ask may do to the others, and what a model that fails or hangs may do to them all."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from zhiyin.online.engine import Engine


class Model:
    """Answers 7 with "7"; fails at numbers below 0, waits for ``go`` at 0. ``batches`` are what it was given."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, asks: Sequence[int]) -> list[str]:
        self.batches.append(list(asks))
        if 0 in asks:
            self.go.wait(10)
        if any(ask < 0 for ask in asks):
            raise ValueError(f"secret of {min(asks)}")
        return [str(ask) for ask in asks]


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.go.set()


def engine_of(model: Model, deadline_s: float) -> Engine[int, str]:
    return Engine(model, lambda ask, why: f"instead of {ask}: {why}", deadline_s=deadline_s)


def test_asks_that_come_while_it_works_go_together(model: Model) -> None:
    async def main() -> list[str]:
        engine = engine_of(model, 10.0)
        first = asyncio.create_task(engine.ask(0))
        while not model.batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(engine.ask(n)) for n in range(1, 6)]
        await asyncio.sleep(0.01)
        model.go.set()
        answers = await asyncio.gather(first, *rest)
        engine.close()
        return answers

    assert asyncio.run(main()) == ["0", "1", "2", "3", "4", "5"]
    assert model.batches == [[0], [1, 2, 3, 4, 5]]


def test_an_ask_the_model_stumbles_over_costs_only_its_own_answer(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[str]:
        engine = engine_of(model, 10.0)
        first = asyncio.create_task(engine.ask(0))
        while not model.batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(engine.ask(n)) for n in (1, -2, 3)]
        await asyncio.sleep(0.01)
        model.go.set()
        answers = await asyncio.gather(first, *rest, engine.ask(-4))
        engine.close()
        return answers

    with caplog.at_level(logging.ERROR, "zhiyin.serve"):
        answers = asyncio.run(main())
    why = "the model failed (ValueError)"
    assert answers == ["0", "1", f"instead of -2: {why}", "3", f"instead of -4: {why}"]
    assert [record.getMessage() for record in caplog.records] == ["the model failed"] * 2


def test_who_waits_for_a_model_that_hangs_is_answered_and_it_may_come_back(model: Model) -> None:
    async def main() -> list[str]:
        engine = engine_of(model, 0.05)
        hung = [await engine.ask(0), await engine.ask(1)]
        late = engine.late
        model.go.set()
        while engine.late:
            await asyncio.sleep(0.001)
        back = await engine.ask(2)
        engine.close()
        return [*hung, str(late), back]

    assert asyncio.run(main()) == ["instead of 0: slow", "instead of 1: slow", "True", "2"]


def test_a_fallback_that_fails_too_is_an_error_of_that_ask_alone(model: Model) -> None:
    def broken(ask: int, why: str) -> str:
        raise RuntimeError(why)

    async def main() -> str:
        engine = Engine(model, broken, deadline_s=10.0)
        with pytest.raises(RuntimeError, match="the model failed"):
            await engine.ask(-1)
        answer = await engine.ask(2)
        engine.close()
        return answer

    assert asyncio.run(main()) == "2"


def test_slow_asks_are_taken_so_many_at_a_time_that_they_are_not_late() -> None:
    sizes: list[int] = []

    def slow(asks: Sequence[int]) -> list[str]:
        sizes.append(len(asks))
        threading.Event().wait(0.02 * len(asks))
        return [str(ask) for ask in asks]

    async def main() -> list[str]:
        engine = Engine(slow, lambda ask, why: why, deadline_s=0.6)
        await engine.ask(0)
        answers = await asyncio.gather(*(engine.ask(i) for i in range(1, 13)))
        engine.close()
        return answers

    asyncio.run(main())
    assert max(sizes[1:]) <= 10


HERE, THERE = threading.main_thread().name, "zhiyin-engine"


async def until_here(engine: Engine[int, str], threads: list[str]) -> None:
    """Ask until the work was measured to be quick, which a busy machine may not let it be at once."""
    while HERE not in threads:
        await engine.ask(1)


def test_quick_work_is_done_on_the_loop_and_what_arrives_together_goes_together(model: Model) -> None:
    threads: list[str] = []

    def work(asks: Sequence[int]) -> list[str]:
        threads.append(threading.current_thread().name)
        return model(asks)

    async def main() -> list[str]:
        engine: Engine[int, str] = Engine(work, lambda ask, why: why, deadline_s=10.0)
        await until_here(engine, threads)
        return await asyncio.gather(*(engine.ask(n) for n in range(2, 9)))

    assert asyncio.run(main()) == [str(n) for n in range(2, 9)]
    assert threads[0] == THERE, "only what was measured to be quick is done here"
    assert model.batches[-1] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("hang", ["sleeps", "spins", "waits"])
def test_a_model_that_hangs_on_the_loop_is_interrupted_and_goes_on_in_the_thread(hang: str) -> None:
    hanging = threading.Event()
    threads: list[str] = []

    def work(asks: Sequence[int]) -> list[str]:
        threads.append(threading.current_thread().name)
        until = time.monotonic() + 20
        here = threads[-1] == HERE
        while hanging.is_set() and time.monotonic() < until:
            if hang == "sleeps":
                time.sleep(20 if here else 0.01)
            elif hang == "waits":
                threading.Event().wait(20 if here else 0.01)
        return [str(ask) for ask in asks]

    async def main() -> list[str]:
        engine: Engine[int, str] = Engine(work, lambda ask, why: f"instead of {ask}: {why}", deadline_s=0.5)
        await until_here(engine, threads)
        threads.clear()
        hanging.set()
        late = await engine.ask(3)
        hanging.clear()
        while engine.late:
            await asyncio.sleep(0.001)
        return [late, await engine.ask(4)]

    assert asyncio.run(main()) == ["instead of 3: slow", "4"]
    assert threads[:2] == [HERE, THERE], "it goes on in the thread with what is left of the deadline"


def test_where_nothing_can_be_interrupted_the_thread_does_all(model: Model) -> None:
    names: list[str] = []

    def work(asks: Sequence[int]) -> list[str]:
        names.append(threading.current_thread().name)
        return model(asks)

    async def main() -> None:
        engine: Engine[int, str] = Engine(work, lambda ask, why: why, deadline_s=10.0)
        for n in (1, 2, 3):
            await engine.ask(n)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert names == ["zhiyin-engine"] * 3
