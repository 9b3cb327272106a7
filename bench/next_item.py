"""Who comes next: every model on the published next-item data sets, ranked against the whole catalogue.

    python bench/next_item.py --data ml-1m-seq [--models sequence,zhiyin] [--json PATH] [--validation]

Protocols: position data by leave-one-out (P1: test = last event, validation = the one before, seen
items removed); online_retail by global time (train before 2011-10-01, validation in October, test from
2011-11-01), once with repeats allowed and once never. The strict rule: weights never see validation
items; these are input at test time only. Settings stand in next_item.toml, chosen on validation and
committed before the test was looked at; --validation prints validation figures and leaves the test
alone. `train_cpu_s` is user + system time of the whole fit, validation and parts included.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rows import Row, cpu_used_s, show, write
from zhiyin.base.digest import digest_arrays, digest_json
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.sources import open_source
from zhiyin.data.split import global_time, leave_one_out
from zhiyin.evaluate.compare import Comparison, compare
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec, weights_by_part
from zhiyin.models.roles import Model, ModelSpec, State
from zhiyin.models.two_stage import TwoStageSpec
from zhiyin.pipeline.train import readable
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle

METRICS = ("ndcg@10", "hr@10", "recall@10", "coverage@10")
KEPT = Path(__file__).resolve().parent.parent / ".cache" / "bench"
SETTINGS = Path(__file__).with_name("next_item.toml")


@dataclass(frozen=True)
class Case:
    """One split of one data set; ``name`` is put before the models' names unless it is the only one."""

    name: str
    split: Split


def cases(name: str, data: Dataset) -> list[Case]:
    """The protocol of a data set."""
    if name != "online_retail":
        return [Case("", leave_one_out(data))]
    london = ZoneInfo("Europe/London")
    test, validation = (int(datetime(2011, month, 1, tzinfo=london).timestamp() * 1e6) for month in (11, 10))
    policies = (Repeat(policy="allow"), Repeat(policy="never"))
    return [Case(f"repeat {policy}", global_time(data, test, validation, policy)) for policy in policies]


def fitted(spec: ModelSpec, split: Split, run: Run) -> tuple[Model, float]:
    """The model and the CPU seconds of its fit. A fit that takes minutes is kept under .cache until data or settings change."""
    e = split.train.events
    key = digest_json([spec.digest(), run.seed, digest_arrays(e.user_ix, e.item_ix, e.time_us)])
    kept = KEPT / f"{spec.kind}-{key}"
    if kept.is_dir():
        bundle = read_bundle(kept)
        print(f"  {spec.kind}: kept from {kept}", flush=True)
        return spec.restore(State(bundle.arrays, bundle.meta["state"]), split.train.catalog), bundle.meta["spent_cpu_s"]
    before = cpu_used_s()
    model = spec.fit(split.train, run)
    spent = cpu_used_s() - before
    if spent > 60:
        state = model.state()
        write_bundle(kept, Bundle({"state": dict(state.meta), "spent_cpu_s": spent}, dict(state.arrays)))
    return model, spent


def fit_all(split: Split, settings: Mapping[str, Any], names: list[str], seed: int) -> tuple[dict[str, Model], dict[str, float]]:
    """Fit every model once; the blend takes parts that are fitted already and pays for them too."""
    models: dict[str, Model] = {}
    spent: dict[str, float] = {}
    run = Run(seed=seed, holdout=split.validation)
    blend = settings.get("zhiyin", {})
    parts = list(blend.get("parts", ()))
    names = [*dict.fromkeys([*(["zhiyin"] if "two-stage" in names else []), *names])]
    for name in [*dict.fromkeys([*names, *(parts if "zhiyin" in names else [])])]:
        if name in ("zhiyin", "two-stage"):
            continue
        table = {"kind": name, **settings.get(name, {})}
        models[name], spent[name] = fitted(spec_of(table, f"next_item.toml, {name}"), split, run)
        print(f"  {name}: {spent[name]:.1f} CPU s", flush=True)
    if "zhiyin" in names:
        before = cpu_used_s()
        spec = BlendSpec.parse({k: v for k, v in blend.items() if k != "parts"})
        blended = spec.of_parts(split.train, [models[part] for part in parts], run)
        spent["zhiyin"] = cpu_used_s() - before + sum(spent[part] for part in parts)
        print(f"  zhiyin: {weights_by_part(blended)}\n  {blended.learned.told()}", flush=True)
        models["zhiyin"] = blended
    if "two-stage" in names:
        before = cpu_used_s()
        second = TwoStageSpec.parse(settings.get("two-stage", {})).of_first(split.train, models["zhiyin"], run)
        spent["two-stage"] = cpu_used_s() - before + spent["zhiyin"]
        print(f"  two-stage: trust {second.trust:g}, out of sample {[round(f, 4) for f in second.figures]}", flush=True)
        models["two-stage"] = second
    return {name: models[name] for name in names}, spent


def rows_of(comparison: Comparison, prefix: str, spent: Mapping[str, float]) -> list[Row]:
    """Figures with intervals, training cost, and the paired difference to the flagship with Holm's p."""
    rows = []
    for name, found in comparison.estimates.items():
        case = f"{prefix} {name}".strip()
        for metric, e in found.items():
            exact = not e.low <= e.value  # totals such as coverage have no interval
            rows.append(Row("next_item", case, metric, e.value, e.value if exact else e.low, e.value if exact else e.high, e.n, "share"))
        for metric, d in comparison.differences.get(name, {}).items():
            if metric == METRICS[0]:
                rows.append(
                    Row("next_item", case, f"{metric} - {comparison.against}", d.value, d.low, d.high, d.n, f"share, Holm p {d.p_holm:.4f}")
                )
        rows.append(Row("next_item", case, "train_cpu_s", spent[name], spent[name], spent[name], 1, "s"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="ml-1m-seq")
    parser.add_argument("--models", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--validation", action="store_true")
    given = parser.parse_args()
    every = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    rows: list[Row] = []
    for name in given.data.split(","):
        settings = every.get(name, {})
        names = given.models.split(",") if given.models else settings.get("models", [])
        data, reader = readable(open_source(name))
        print(f"{name}: {reader.reason if reader else 'no text'}", flush=True)
        for case in cases(name, data):
            models, spent = fit_all(case.split, settings, names, given.seed)
            part = case.split.validation if given.validation else case.split.test
            note = f"{name}, {'VALIDATION' if given.validation else 'test'}; {case.split.note}"
            against = "sequence" if "sequence" in models else None
            comparison = compare(models, part, case.split.train, metrics=METRICS, baseline=against, note=note, train_cpu_s=spent)
            print(comparison.to_text(), flush=True)
            if "two-stage" in models:
                pair = {name: models[name] for name in ("zhiyin", "two-stage")}
                paired = compare(pair, part, case.split.train, metrics=METRICS[:1], baseline="zhiyin", note=note)
                d = paired.differences["two-stage"][METRICS[0]]
                label = " ".join(p for p in (case.name, "two-stage vs zhiyin") if p)
                rows.append(Row("next_item", label, METRICS[0], d.value, d.low, d.high, d.n, f"share, Holm p {d.p_holm:.4f}"))
            prefix = " ".join(p for p in ((name if "," in given.data else ""), case.name) if p)
            rows += rows_of(comparison, prefix, spent)
    show(rows, "next_item")
    write(rows, given.json)


if __name__ == "__main__":
    main()
