"""The faults of ``faults.py`` in what answers: model, search index and cache, for each kind of answer that reads them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faults_kinds import ASK, Bed, Fault
from serve_process import Process, zhiyin
from serve_world import small
from zhiyin.testing.servers import free_port, temporary_redis

HERE = Path(__file__).parent
PAGE = 'POST /v1/shop/page {"user":"u%d","n":10}'
RANK = 'POST /v1/shop/rank {"user":"u%d","candidates":["i1","i2","i3","i4","i5"]}'
TOGETHER = 'POST /v1/shop/similar {"item":"i%d","kind":"together","n":10}'
SEARCH = 'POST /v1/shop/search {"text":"item","user":"u%d","n":10}'
COMPLETE = 'POST /v1/shop/complete {"text":"item %d","n":5}'


@contextmanager
def breakable(folder: Path) -> Iterator[Bed]:
    """Model and index do what a file says."""
    shop, flag = small(folder), folder / "flag"
    flag.write_text("", encoding="utf-8")

    def serve() -> Process:
        port = free_port()
        command = [sys.executable, str(HERE / "faults_model.py"), str(shop), str(port), str(flag)]
        return searchable(Process(command, port, ("POST", "/v1/shop/recommend", "{}")))

    yield Bed(folder, shop, serve, {"flag": flag})


def searchable(server: Process, limit_s: float = 30.0) -> Process:
    """The same once its search index is built."""
    begun = time.monotonic()
    while json.loads(server.ask("POST", "/v1/shop/search", '{"text":"item"}')[1]).get("degraded"):
        if time.monotonic() - begun > limit_s:
            raise SystemExit("the search index is not built in time")
        time.sleep(0.05)
    return server


@contextmanager
def with_redis(folder: Path) -> Iterator[Bed]:
    """Two workers that tell each other of events through Redis."""
    shop, kept = small(folder), ExitStack()
    with kept:
        address = kept.enter_context(temporary_redis())
        yield Bed(folder, shop, lambda: zhiyin(shop, "--workers", 2, "--redis", address), {"redis": kept})


def stop_redis(bed: Bed, _: Process) -> None:
    bed.held["redis"].close()


def says(word: str) -> Callable[[Bed, Process], None]:
    def begin(bed: Bed, _: Process) -> None:
        bed.held["flag"].write_text(word, encoding="utf-8")

    return begin


def recover(bed: Bed) -> None:
    bed.held["flag"].write_text("", encoding="utf-8")


def broken(name: str, means: str, word: str, ask: str = ASK) -> Fault:
    return Fault(name, means, breakable, says(word), recover, model=True, ask=ask)


ANSWERS = (
    broken("hung model", "sleeps", "hang"),
    broken("hung model", "sleeps: page", "hang", ask=PAGE),
    broken("hung model", "sleeps: rank", "hang", ask=RANK),
    broken("hung model", "sleeps: similar", "hang", ask=TOGETHER),
    broken("hung model", "sleeps: search for a person", "hang", ask=SEARCH),
    broken("hung model", "spins in Python", "spin"),
    broken("hung model", "spins in Python: page", "spin", ask=PAGE),
    broken("hung model", "spins in Python: similar", "spin", ask=TOGETHER),
    broken("index missing", "the search raises", "raise"),
    broken("index missing", "the model raises: similar", "raise", ask=TOGETHER),
    broken("index missing", "search hangs", "index hang", ask=SEARCH),
    broken("index missing", "search spins", "index spin", ask=SEARCH),
    broken("index missing", "search raises", "index raise", ask=SEARCH),
    broken("index missing", "complete hangs", "index hang", ask=COMPLETE),
    Fault("cache down", "redis ends, 2 workers", with_redis, stop_redis),
)
