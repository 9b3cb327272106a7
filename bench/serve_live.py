"""The cases of ``serve.py`` in which things happen while answers are given: load that lasts, events that act, a real model."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from rows import Row
from serve_load import finish, start
from serve_process import Process
from serve_world import World
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.bundle import MANIFEST

ANSWERS_PER_S = EVENTS_PER_S = 600
REAL = "ml-1m-seq"
CLICKS = 5


def _one(case: str, metric: str, value: float, n: int, unit: str = "") -> Row:
    return Row("serve", case, metric, value, value, value, n, unit)


def sustained(process: Process, tenant: str, asks: Path, work: Path, seconds: float) -> list[Row]:
    """Recommendations and durable events at fixed rates, side by side; latency counts from when a request was due."""
    rng = random.Random(0)
    events = work / "events"
    event = 'POST /v1/%s/event {"event_id":"@@@@@@@@","user":"u%d","item":"i%d"}'
    events.write_text(
        "\n".join(event % (tenant, rng.randrange(1_000_000), rng.randrange(100_000)) for _ in range(20_000)), encoding="utf-8"
    )
    warm = min(10.0, seconds / 2)  # until what is bounded (traces, filters) is full
    finish(start(process.port, asks, connections=32, seconds=warm))
    before = process.rss()
    answering = start(process.port, asks, connections=32, seconds=seconds, rate=ANSWERS_PER_S)
    taking = start(process.port, events, connections=32, seconds=seconds, rate=EVENTS_PER_S)
    answers, taken = finish(answering), finish(taking)
    return [
        _one("sustained", "errors", answers.errors + taken.errors, answers.n + taken.n),
        _one("sustained", "p99_ms", max(answers.p99_ms, taken.p99_ms), answers.n + taken.n, "ms, the worse of both"),
        _one("sustained", "rss_growth_share", process.rss() / before - 1, 1),
        _one("sustained", "degraded_share", answers.degraded / max(answers.n, 1), answers.n),
        _one("sustained, recommendations", "per_s", answers.n / answers.seconds, answers.n),
        _one("sustained, recommendations", "p99_ms", answers.p99_ms, answers.n, "ms"),
        _one("sustained, recommendations", "max_ms", answers.max_ms, answers.n, "ms"),
        _one("sustained, events", "per_s", taken.n / taken.seconds, taken.n),
        _one("sustained, events", "p99_ms", taken.p99_ms, taken.n, "ms"),
        _one("sustained, events", "max_ms", taken.max_ms, taken.n, "ms"),
    ]


def freshness(process: Process, tenant: str, world: World, beside: Path, n: int) -> list[Row]:
    """Somebody new clicks things of one group; how soon that group fills his list, which a control without events shows not.

    From sending the last click to having the first answer with more of the group than he was shown before, while others
    ask 100 times a second. How much more stands beside it; groups overlap, so it is seldom all of a list.
    """
    rng = np.random.default_rng(0)
    load = start(process.port, beside, connections=4, seconds=600, rate=100)
    waits, before, after, control = [], [], [], []
    try:
        for person in range(n):
            group = int(rng.integers(0, world.group.max() + 1))
            clicked = rng.choice(np.flatnonzero(world.group == group), CLICKS, replace=False)
            before.append(_share(process, tenant, world, group, f"new-{person}"))
            for click, item in enumerate(clicked.tolist()):
                begun = time.perf_counter()
                body = {"event_id": f"new-{person}-{click}", "session": f"new-{person}", "item": f"i{item}"}
                process.ask("POST", f"/v1/{tenant}/event", json.dumps(body))
            share = 0.0
            while share <= before[-1] and time.perf_counter() - begun < 5.0:
                share = _share(process, tenant, world, group, f"new-{person}")
            waits.append(time.perf_counter() - begun)
            after.append(share)
            control.append(_share(process, tenant, world, group, f"other-{person}"))
    finally:
        load.kill()
        load.communicate()
    rows = [Row("serve", "freshness", "event_to_effect_p99_s", float(np.quantile(waits, 0.99)), min(waits), max(waits), n, "s, range")]
    for name, shares in (("share_before", before), ("share_after", after), ("share_control", control)):
        rows.append(Row("serve", "freshness", name, float(np.mean(shares)), min(shares), max(shares), n, "of the clicked group, range"))
    return rows


def _share(process: Process, tenant: str, world: World, group: int, session: str) -> float:
    """Of the ten best for a session, those of the group."""
    _, body = process.ask("POST", f"/v1/{tenant}/recommend", json.dumps({"session": session, "n": 10}))
    found = [int(item["item"][1:]) for item in json.loads(body)["items"]]
    return float(np.mean(world.group[found] == group)) if found else 0.0


def trained(work: Path) -> Path:
    """What ``zhiyin train --quick`` makes of real data, once."""
    folder = work / f"zhiyin-bench-{REAL}"
    if not (folder / MANIFEST).exists():
        command = [str(Path(sys.executable).with_name("zhiyin")), "train", REAL, "--quick", "--out", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def pipeline(case: str, process: Process, folder: Path, work: Path, seconds: float) -> list[Row]:
    """All stages of a real model at c=4: people it knows, and every eighth with a history of his own."""
    recommender = Recommender.load(folder)
    rng = random.Random(0)
    users, items = recommender.data.users.ids.to_pylist(), recommender.catalog.items.ids.to_pylist()
    lines = []
    for i in range(5_000):
        person = {"user": rng.choice(users)} if i % 8 else {"history": rng.sample(items, 5)}
        lines.append(f"POST /v1/{folder.name}/recommend " + json.dumps({**person, "n": 10}))
    asks = work / "pipeline"
    asks.write_text("\n".join(lines), encoding="utf-8")
    finish(start(process.port, asks, connections=4, seconds=2.0))
    cpu = process.cpu_s()
    said = finish(start(process.port, asks, connections=4, seconds=max(seconds, 5.0)))
    return [
        _one(case, "p99_ms", said.p99_ms, said.n, f"ms, {recommender.model.spec.kind} on {REAL}, c=4"),
        _one(case, "p50_ms", said.p50_ms, said.n, "ms"),
        _one(case, "rps", said.rps, said.n, "1/s"),
        _one(case, "cpu_ms_per_request", 1e3 * (process.cpu_s() - cpu) / max(said.n, 1), said.n, "ms"),
        _one(case, "degraded_share", said.degraded / max(said.n, 1), said.n),
        _one(case, "errors", said.errors, said.n),
    ]
