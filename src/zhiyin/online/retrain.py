"""A new model from what happened since the last one, and the question whether it may take its place.

1. The data of the served bundle grows by the log; people who were erased fall out.
2. The challenger is fitted on everything before the newest events; champion and challenger are asked about these.
   The champion has seen none of them if they lie in the log.
3. If the challenger is not worse (the interval of the paired difference of NDCG@10 does not lie below 0), it learns
   from everything, must meet the expectations, and is promoted. Otherwise nothing changes, and the reason is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from zhiyin.base.clock import now_us
from zhiyin.base.errors import FitError
from zhiyin.data.run import Run
from zhiyin.data.split import default_split
from zhiyin.evaluate.compare import compare
from zhiyin.models.registry import spec_of
from zhiyin.online.bundles import Bundles, Entry, version_of
from zhiyin.online.expectations import broken, read_expectations
from zhiyin.online.grown import grown
from zhiyin.online.masked import masked
from zhiyin.online.shop import caught_up
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.pipeline.train import train
from zhiyin.store.tables import TableStore

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Outcome:
    """``promoted`` says whether the challenger is served from now on; ``why`` says it in sentences."""

    promoted: bool
    name: str
    n_new: int
    champion: float
    challenger: float
    difference: tuple[float, float, float]
    why: tuple[str, ...]


def retrain(folder: Path, run: Run, *, quick: bool = False, force: bool = False, stores: Stores | None = None) -> Outcome:
    """Train anew and promote if it is right to; ``force`` trains without new events and promotes whatever meets the expectations.

    May run beside the server, which goes over to the new bundle by itself. Raises ``FitError`` without new events.
    """
    home = live_folder(folder)
    home.mkdir(parents=True, exist_ok=True)
    bundles = Bundles(folder, home)
    served = bundles.served
    champion = Recommender.load(bundles.path(served))
    stores = stores or Stores()
    tables = stores.tables(folder)
    try:
        since = tables.version()
        gone = masked(tables, served.version)
        known = caught_up(champion, tables, served.since)
    finally:
        tables.close()
    log = stores.log(folder, "read")
    try:
        more = grown(known.data, log.read(served.after), gone, served.after)
    finally:
        log.close()
    if not more.n_new and not gone and not force:
        raise FitError("nothing happened since the served model was trained", "Wait for events, or say --force.")
    trained = train(more.data, spec_of(champion.model.spec.described()), split=default_split, run=run, quick=quick, refit=False)
    models = {"champion": known.model, "challenger": trained.measured}
    found = compare(models, trained.split.test, trained.split.train, metrics=(METRIC,), baseline="champion", seed=run.seed)
    d = found.differences["challenger"][METRIC]
    figures = {name: found.estimates[name][METRIC].value for name in models}
    name = datetime.fromtimestamp(now_us() / 1e6, UTC).strftime("%Y%m%d-%H%M%S")
    why = [f"{METRIC} {figures['champion']:.4f} -> {figures['challenger']:.4f}, difference [{d.low:+.4f}, {d.high:+.4f}], n = {d.n}"]
    outcome = Outcome(False, name, more.n_new, figures["champion"], figures["challenger"], (d.value, d.low, d.high), tuple(why))
    if d.high < 0 and not force:
        return replace(outcome, why=(*why, "the challenger is worse: the champion stays"))
    final = train(more.data, spec_of(champion.model.spec.described()), run=run, quick=quick, refit=True).recommender
    final = final.with_placements(champion.placed.placements, run) if champion.placed.placements else final
    unmet = broken(read_expectations(home), final)
    if unmet:
        return replace(outcome, why=(*why, *unmet, "expectations are not met: the champion stays"))
    path = final.save(home / "bundles" / name)
    bundles.promote(Entry(name, version_of(path), more.after, since, now_us(), why[0]))
    return replace(outcome, promoted=True)


def stale(tables: TableStore, version: str) -> int:
    """How many people were erased who are still in the bundle that is served."""
    return len(masked(tables, version))
