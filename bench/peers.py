"""Speed beside the peers: the same work on the same data in the same run, one thread each.

    python bench/peers.py --speed [--json PATH] [--cases sequence,evaluate,recommend] [--full] [--steps 16] [--runs 5]

All figures are ratios of CPU seconds (user + system), so a busy machine moves both sides; ranges are
over steps, epochs or interleaved runs: the worst pairing and the best one. Peers run in environments
of their own (`.cache/rectools`, made here when absent) and are skipped with a reason where that is
impossible.

`sequence vs rectools sasrec`: ml-1m-seq under P1, 64 numbers, 2 layers, 2 heads, 200 events, feed-forward
64 wide, dropout .2, cross-entropy over all 3,416 items, float32 parameters. RecTools trains on the last 201
events of each user; here zhiyin is given just those, so both have the same target tokens per epoch (as a
product it would take the older events, too). zhiyin keeps its two item tables and its own batches (`batch_size`
32 full windows, short ones together); RecTools has batches of 32, where an epoch costs as much as with its
default of 128 and more is learned in it.
- `epoch_cpu_ratio`: a whole epoch of zhiyin, validation left out, to one of RecTools extrapolated from `--steps`
  steps after 3: its steps are alike, because it computes the padding.
- `cpu_ratio_to_valid_ndcg_.12`: zhiyin trains, validating after every epoch, until NDCG@10 of 3,000 validation
  users is .12, and all of it counts. RecTools is NOT trained unless `--full` is given (a quarter of an hour to
  two hours): it is credited with .12 after 4 of its epochs, because a plain SASRec with batches of 32 and all
  windows had .109 after 3 and .137 after 7, and nothing is counted for its validation. That favours it.

`evaluate vs rectools`: seven accuracy metrics at 10 of the same lists of 100,000 users, 1 to 5 answers each;
means must agree to 1e-9. Making RecTools' data frames and zhiyin's arrays is not counted on either side.

`recommend vs implicit als`: top 10 without seen items for all 6,040 users of ml-1m-seq from the same 128
factors per user and item, interleaved. Both look up users they met in training: implicit by number,
zhiyin by the content of the history. implicit's matrix and zhiyin's requests are made before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from rows import Row, cpu_used_s, show, write
from zhiyin.base.arrays import Ragged, offsets_of
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.sources import open_source
from zhiyin.data.split import leave_one_out
from zhiyin.data.truth import Truth
from zhiyin.evaluate.metrics import measure
from zhiyin.models.retrieve.factors import FactorsSpec
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.retrieve.sequence import SequenceSpec

ENVIRONMENT = Path(__file__).resolve().parents[1] / ".cache" / "rectools"
PINNED = "rectools[torch]==0.19.0"
SETTINGS = {"dim": 64, "layers": 2, "heads": 2, "max_len": 200, "dropout": 0.2}
OURS = SequenceSpec(**SETTINGS, hidden_ratio=1, text="off", loss="full", learning_rate=2e-3, epochs=6, validate_every=1, memory=None)  # type: ignore[arg-type]
THEIRS = {**SETTINGS, "seed": 0, "learning_rate": 1e-3, "batch_size": 32, "warm_up": 3}
WANTED, CREDITED_EPOCHS, VALIDATION_USERS = 0.12, 4, 3_000


class SkipError(Exception):
    """A case that cannot run here, and why."""


def rectools() -> Path:
    """The interpreter of RecTools' environment, which is made when absent."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        index = os.environ.get("TORCH_INDEX")
        make = [sys.executable, "-m", "venv", str(ENVIRONMENT)]
        fill = [str(python), "-m", "pip", "install", "--quiet", *(["--extra-index-url", index] if index else []), PINNED]
        for command in (make, fill):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SkipError(f"no environment for {PINNED}: {done.stderr.strip()[-300:]}")
    check = subprocess.run([python, "-c", "import rectools.models, torch"], capture_output=True, text=True, check=False)
    if check.returncode:
        raise SkipError(f"{PINNED} does not start: {check.stderr.strip()[-300:]}; remove .cache/rectools to have it made again")
    return python


def peer(python: Path, action: str, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ``peers_rectools.py`` measured, on one thread."""
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "in.npz"), Path(place, "out.json")
        np.savez(source, **arrays)
        script = Path(__file__).with_name("peers_rectools.py")
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        command = [str(python), str(script), action, str(source), str(target), json.dumps(settings)]
        done = subprocess.run(command, env={**os.environ, **one}, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SkipError(f"rectools {action} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        return found


def one(case: str, metric: str, values: list[float], unit: str) -> Row:
    """The median of several readings with their range."""
    return Row("peers", case, metric, float(np.median(values)), min(values), max(values), len(values), unit)


def ratio(case: str, metric: str, ours: list[float], theirs: list[float], unit: str) -> Row:
    """Median to median, from the luckiest to the unluckiest pairing of readings."""
    value = float(np.median(ours) / np.median(theirs))
    return Row("peers", case, metric, value, min(ours) / max(theirs), max(ours) / min(theirs), min(len(ours), len(theirs)), unit)


def newest(data: Dataset, n: int) -> Dataset:
    """Only the newest n events of each user."""
    rows, offsets = data.by_user
    counts = np.diff(offsets)
    from_end = np.repeat(offsets[1:], counts) - np.arange(len(rows))
    return data.take(np.sort(rows[from_end <= n]))


def epochs_of(data: Dataset, spec: SequenceSpec, run: Run, wanted: float | None = None) -> tuple[list[float], list[float]]:
    """CPU seconds since the start and validation NDCG@10 at the end of each epoch, up to the wanted one."""
    spent: list[float] = []
    ndcg: list[float] = []

    class ReachedError(Exception):
        pass

    def report(row: Mapping[str, Any]) -> None:
        if "epoch" in row:
            spent.append(cpu_used_s() - start)
            ndcg.append(float(row.get("validation", 0.0)))
            if wanted is not None and ndcg[-1] >= wanted:
                raise ReachedError

    start = cpu_used_s()
    try:
        spec.fit(data, replace(run, report=report))
    except ReachedError:
        return spent, ndcg
    if wanted is not None:
        raise SkipError(f"zhiyin had validation NDCG@10 {max(ndcg):.4f} after {len(ndcg)} epochs, not {wanted}")
    return spent, ndcg


def sequence(split: Split, given: argparse.Namespace) -> list[Row]:
    """Training: an epoch, and the way to a validation NDCG@10 of .12."""
    case = "sequence vs rectools sasrec"
    python = rectools()
    width = OURS.max_len + 1
    data = newest(split.train, width)
    rows, offsets = data.by_user
    millions = float(np.maximum(np.diff(offsets) - 1, 0).sum()) / 1e6
    sampled = np.random.default_rng(0).choice(len(split.validation), VALIDATION_USERS, replace=False)
    holdout = split.validation.take(np.sort(sampled))
    events = {"user": data.events.user_ix[rows], "item": data.events.item_ix[rows]}

    def peer_epochs() -> list[float]:
        found = peer(python, "steps", events, {**THEIRS, "steps": max(given.steps // 2, 2)})
        return [s * found["steps_per_epoch"] for s in found["step_cpu_s"]]

    theirs = peer_epochs()
    till, _ = epochs_of(data, OURS.model_copy(update={"epochs": 2}), Run(threads=1))
    ours = np.diff([0.0, *till]).tolist()
    spent, ndcg = epochs_of(data, OURS, Run(threads=1, holdout=holdout), WANTED)
    theirs += peer_epochs()  # before and after ours: a machine that slows down slows both
    print(f"  {millions:.3f} million target tokens; zhiyin's validation NDCG@10 {np.round(ndcg, 4).tolist()}", flush=True)
    if given.full:
        answers = {"valid_user": holdout.requests.user_ix, "valid_item": holdout.truth.items.values}
        found = peer(python, "full", {**events, **answers}, {**THEIRS, "max_epochs": 60, "wanted": WANTED})
        if max(found["ndcg"]) < WANTED:
            raise SkipError(f"rectools had validation NDCG@10 {max(found['ndcg']):.4f} after {len(found['ndcg'])} epochs, not {WANTED}")
        way, said = [found["cpu_s"]], f"rectools trained, {len(found['ndcg'])} epochs with validation"
    else:
        way, said = [CREDITED_EPOCHS * s for s in theirs], f"rectools EXTRAPOLATED: {CREDITED_EPOCHS} epochs credited, not trained"
    return [
        ratio(case, "epoch_cpu_ratio", ours, theirs, "ratio"),
        ratio(case, "cpu_ratio_to_valid_ndcg_.12", spent[-1:], way, f"ratio; {said}; zhiyin {len(ndcg)} epochs with validation"),
        one(case, "zhiyin_cpu_s_per_million_tokens", [s / millions for s in ours], "s"),
        one(case, "rectools_cpu_s_per_million_tokens", [s / millions for s in theirs], "s"),
        one(case, "zhiyin_epoch_cpu_s", ours, "s"),
        one(case, "rectools_epoch_cpu_s", theirs, "s, extrapolated from single steps"),
    ]


def evaluate(given: argparse.Namespace, n: int = 100_000, n_items: int = 20_000, k: int = 10) -> list[Row]:
    """Measuring lists: hr, recall, precision, F1, MAP, NDCG, MRR at 10."""
    case = "evaluate vs rectools"
    python = rectools()
    rng = np.random.default_rng(0)
    lists = (rng.integers(0, n_items // k, (n, k)) * k + np.arange(k)).astype(np.int32)  # k different items each
    counts = rng.integers(1, 6, n)
    user = np.repeat(np.arange(n), counts)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    item = (rng.integers(0, n_items // 5, len(user)) * 5 + nth).astype(np.int32)  # different within a user
    hit = rng.random(len(user)) < 0.2
    item[hit] = lists[user[hit], 2 * nth[hit]]
    key = np.unique(user * n_items + item)
    user, item = key // n_items, (key % n_items).astype(np.int32)
    slates = Slates(offsets_of(np.full(n, k)), lists.ravel(), np.zeros(n * k, np.float32))
    truth = Truth(Ragged(offsets_of(np.bincount(user, minlength=n)), item))
    names = ("hr", "recall", "precision", "f1", "map", "ndcg", "mrr")
    theirs = peer(python, "metrics", {"lists": lists, "answer_user": user, "answer_item": item}, {"runs": given.runs, "n_items": n_items})
    ours = []
    for _ in range(given.runs):
        start = cpu_used_s()
        found = {name: float(np.mean(v)) for name, v in measure(slates, truth, names, k).items()}
        ours.append(cpu_used_s() - start)
    for name, mean in theirs["means"].items():
        if abs(found[f"{name}@{k}"] - mean) > 1e-9:
            raise SystemExit(f"{name}@{k} is {found[f'{name}@{k}']!r} here and {mean!r} in rectools: not the same work")
    return [
        ratio(case, "cpu_ratio", ours, theirs["cpu_s"], "ratio; equal means to 1e-9"),
        one(case, "zhiyin_cpu_s", ours, "s"),
        one(case, "rectools_cpu_s", theirs["cpu_s"], "s"),
    ]


def recommend(split: Split, given: argparse.Namespace) -> list[Row]:
    """Serving from factors: users per CPU second."""
    from implicit.cpu.als import AlternatingLeastSquares

    case = "recommend vs implicit als"
    model = FactorsSpec(dim=128).fit(split.train, Run(threads=1))
    requests = split.validation.requests
    users = np.asarray(requests.user_ix)
    seen = split.train.matrix()[users]
    seen.sort_indices()
    als = AlternatingLeastSquares(128, num_threads=1)
    als.item_factors = model.items
    als.user_factors = model.vectors(profile_matrix(requests.history, split.train.n_items, model.spec.history_decay))
    everyone = np.arange(len(users))
    ours, theirs = [], []
    for _ in range(given.runs + 1):
        start = cpu_used_s()
        slates = model.retrieve(requests, 10)
        middle = cpu_used_s()
        items, _ = als.recommend(everyone, seen, N=10, filter_already_liked_items=True)
        ours.append(len(users) / (middle - start))
        theirs.append(len(users) / (cpu_used_s() - middle))
    same = float(np.mean(slates.item_ix.reshape(items.shape) == items))
    if same < 0.999:
        raise SystemExit(f"{same:.2%} of the recommended items are the same: not the same work")
    return [
        ratio(case, "users_per_cpu_s_ratio", ours[1:], theirs[1:], f"ratio; {same:.2%} of places hold the same item"),
        one(case, "zhiyin_users_per_cpu_s", ours[1:], "1/s"),
        one(case, "implicit_users_per_cpu_s", theirs[1:], "1/s"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--speed", action="store_true", help="the speed cases; there are no others yet, so it is also the default")
    parser.add_argument("--cases", default="sequence,evaluate,recommend")
    parser.add_argument("--full", action="store_true", help="train RecTools to the wanted metric, too")
    parser.add_argument("--steps", type=int, default=16, help="RecTools' timed training steps")
    parser.add_argument("--runs", type=int, default=5, help="interleaved repeats of the short cases")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    split = leave_one_out(open_source("ml-1m-seq"))
    cases: dict[str, Callable[[], list[Row]]] = {
        "recommend": lambda: recommend(split, given),
        "evaluate": lambda: evaluate(given),
        "sequence": lambda: sequence(split, given),
    }
    rows: list[Row] = []
    with threadpool_limits(1):
        for name in given.cases.split(","):
            try:
                rows += cases[name]()
            except SkipError as reason:
                print(f"{name}: SKIPPED, {reason}", flush=True)
    for case in dict.fromkeys(row.case for row in rows):
        show([row for row in rows if row.case == case], "peers, one thread each")
    write(rows, given.json)


if __name__ == "__main__":
    main()
