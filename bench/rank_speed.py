"""What the second stage costs per request: features of 200 candidates and the trees, no torch.

    python bench/rank_speed.py [--json PATH]

Foursquare NYC: counts, own history, words, distances and attributes, some 70 columns. One request at a
time, one thread, requests not seen in fitting; the first stage (finding the candidates) is its own row.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from rows import Row, show, write
from zhiyin.data.run import Run
from zhiyin.data.sources import open_source
from zhiyin.data.split import time_shares
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec
from zhiyin.models.two_stage import TwoStageSpec, featured, mixed
from zhiyin.pipeline.train import readable

PARTS = ({"kind": "buy-again"}, {"kind": "transitions"}, {"kind": "popular"}, {"kind": "item-neighbours"})
CANDIDATES = 200
REQUESTS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    data, _ = readable(open_source("foursquare_nyc"))
    data = replace(data, events=replace(data.events, context=pl.DataFrame()))
    split = time_shares(data)
    run = Run(holdout=split.validation, threads=1)
    with threadpool_limits(1):
        first = BlendSpec(parts=PARTS).of_parts(split.train, [spec_of(part).fit(split.train, run) for part in PARTS], run)
        model = TwoStageSpec(n_candidates=CANDIDATES).of_first(split.train, first, run)
        rng = np.random.default_rng(0)
        asked = [split.test.requests.take(np.array([i])) for i in rng.choice(len(split.test), REQUESTS)]
        spent: dict[str, list[float]] = {"first stage": [], "features": [], "trees": []}
        for request in asked:
            started = time.process_time()
            bare = replace(model.stage, sources=()).of(request, CANDIDATES)
            found = time.process_time()
            full = featured(request, bare, model.stage.sources)
            told = time.process_time()
            mixed(full, model.ranker.score(request, full), model.trust or 1.0)
            spent["first stage"].append(found - started)
            spent["features"].append(told - found)
            spent["trees"].append(time.process_time() - told)
    ms = {name: np.array(values[20:]) * 1e3 for name, values in spent.items()}  # the first ones fill caches
    case = f"{CANDIDATES} candidates, all features, no torch"
    ms = {case: ms["features"] + ms["trees"], **ms}
    rows = [
        Row(
            "rank_speed",
            name,
            "cpu_ms_per_request",
            float(v.mean()),
            *(float(q) for q in np.quantile(v, (0.05, 0.95))),
            len(v),
            "ms, 5-95%",
        )
        for name, v in ms.items()
    ]
    rows.append(Row("rank_speed", case, "columns", len(model.ranker.columns), len(model.ranker.columns), len(model.ranker.columns), 1))
    rows.append(Row("rank_speed", case, "torch_imported", float("torch" in sys.modules), 0, 0, 1))
    show(rows, "rank_speed")
    write(rows, given.json)


if __name__ == "__main__":
    main()
