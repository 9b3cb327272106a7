"""What somebody does after his vector was made: how far should it move him?

    python bench/fresh_vectors.py [--data ml-1m,online_retail] [--choose] [--json PATH]

Vectors of items and people (64 dimensions of a truncated SVD of the weighted matrix, and of implicit ALS) from all but the last
events of everybody: a third, 20 at most. Then 1, 3 or 10 of those are told, and the next ten are the answer: NDCG@10 among all
items without what he had. One half of 3,000 people chose ``history_share`` (``--choose``), the other half is reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from rows import Row, estimated, show, write
from zhiyin.base.arrays import Ragged
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run, silent
from zhiyin.data.sources import open_source
from zhiyin.data.truth import Truth, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.factors import Factors
from zhiyin.models.retrieve.profile import profile_matrix
from zhiyin.models.retrieve.vectors import Vectors, VectorsSpec

DIM, PEOPLE, LAST, ANSWERS = 64, 3_000, 20, 10
TOLD = (1, 3, 10)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Cut:
    """``train`` is everything before the last events; ``people`` (n,) and their row numbers of events since."""

    train: Dataset
    people: np.ndarray
    since: list[np.ndarray]


def cut(data: Dataset) -> Cut:
    rows, offsets = data.by_user
    held = np.zeros(len(data.events), np.bool_)
    since = {}
    for user in range(data.n_users):
        own = rows[offsets[user] : offsets[user + 1]]
        if len(own) >= LAST:
            since[user] = own[-min(LAST, len(own) // 3) :]
            held[since[user]] = True
    people = np.array(sorted(since))
    np.random.default_rng(0).shuffle(people)
    return Cut(data.take(~held), people[:PEOPLE], [since[user] for user in people[:PEOPLE].tolist()])


def svd(train: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of items and people from the matrix weighted by how rare both are."""
    matrix = train.matrix()
    matrix.data[:] = 1.0
    per_item, per_user = (np.maximum(np.asarray(matrix.sum(axis=axis)).ravel(), 1.0) for axis in (0, 1))
    scaled = sp.diags(per_user**-0.5) @ matrix @ sp.diags(per_item**-0.5)
    left, values, right = svds(scaled.astype(np.float64), k=DIM, random_state=0)
    return (right.T * np.sqrt(values) * np.sqrt(per_item)[:, None]).astype(np.float32), (left * np.sqrt(values)).astype(np.float32)


def als(train: Dataset) -> tuple[np.ndarray, np.ndarray]:
    model = spec_of({"kind": "factors"}).fit(train, Run(report=silent))
    if not isinstance(model, Factors):
        raise SystemExit("factors are no factors any more")
    profile = profile_matrix(train.history(np.arange(train.n_users)), train.n_items, 1.0)
    return model.items, np.asarray(model.vectors(profile[:, : len(model.items)]), np.float32)


def ndcg(data: Dataset, at: Cut, model: Vectors, told: int, part: slice) -> np.ndarray:
    """NDCG@10 of each person of a part, NaN where nothing new is left to find."""
    people, since = at.people[part], at.since[part]
    events = data.events
    new = [events.item_ix[own[:told]] for own in since]
    had = [np.concatenate([one, more]) for one, more in zip(_had(at.train, people), new, strict=True)]
    answers = [np.setdiff1d(events.item_ix[own[told : told + ANSWERS]], gone) for own, gone in zip(since, had, strict=True)]
    past = replace(Histories.of_items(Ragged.of(new)), time_us=np.full(sum(map(len, new)), model.since_us or 0))
    request = Requests.of(past, people, (model.since_us or 0) + 1, exclude=Ragged.of(had))
    return ndcg_at(model.retrieve(request, 10), Truth(Ragged.of(answers)))


def _had(train: Dataset, people: np.ndarray) -> list[np.ndarray]:
    history = train.history(people)
    return [history.items[i] for i in range(len(people))]


def measured(name: str, *, choosing: bool) -> Iterable[Row]:
    data = open_source(name).positive
    at = cut(data)
    half = slice(0, len(at.people) // 2) if choosing else slice(len(at.people) // 2, None)
    for made, vectors in (("svd", svd), ("als", als)):
        items, users = vectors(at.train)
        for told in TOLD:
            case = f"{name}, {made}, {told} told"
            shares = SHARES if choosing else (0.0, VectorsSpec().history_share)
            found = {}
            for share in shares:
                model = Vectors.of(data.catalog, items, users, spec=VectorsSpec(history_share=share), since_us=1)
                found[share] = ndcg(data, at, model, told, half)
                yield _row(case, f"ndcg@10, share {share}", found[share])
            if not choosing:
                yield _row(case, "gain", found[shares[-1]] - found[0.0])


def _row(case: str, metric: str, values: np.ndarray) -> Row:
    return estimated("fresh_vectors", case, metric, values[~np.isnan(values)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-1m,online_retail")
    parser.add_argument("--choose", action="store_true", help="every share, on the half that chooses")
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    rows = [row for name in said.data.split(",") for row in measured(name, choosing=said.choose)]
    show(rows, "vectors moved by what came since")
    write(rows, said.json)


if __name__ == "__main__":
    main()
