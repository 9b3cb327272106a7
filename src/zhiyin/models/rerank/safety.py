"""What must not be shown is not shown, whatever a model, a rule or a campaign says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import Bool
from zhiyin.base.errors import ConfigError, DataError, MissingDataError, nearest
from zhiyin.data.files import read_table
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.reranker import RerankerSpec, check_known, kept
from zhiyin.models.rerank.traits import Traits


class SafetySpec(RerankerSpec):
    """What is on the block list never comes back, and of some categories only the best few of each list.

    ``blocked`` are ids; ``at_most`` says how many items of a category (of the column ``category``) one list may
    hold, 0 = none. ``file`` brings more of both: a text file with an id on each line, or a table (CSV, JSONL,
    Parquet) with a column ``item_id``, or the columns ``category`` and ``at_most``. Ids nobody knows yet are no
    mistake: such an item is blocked from the moment it is inserted. Put it last in a chain; give
    ``Safety.allowed`` to the retrievers so that full lists come back.
    """

    kind: ClassVar[str] = "safety"
    drops: ClassVar[bool] = True
    blocked: tuple[str, ...] = ()
    at_most: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    category: str | None = None
    file: str | None = None

    def over(self, traits: Traits) -> Safety:
        ids, limits = (set[str](), dict[str, int]()) if self.file is None else read_safety(Path(self.file))
        allowed = np.ones(traits.n_items, np.bool_)
        known = traits.catalog.items.ix_of(sorted(ids | set(self.blocked)))
        allowed[known[known >= 0]] = False
        limited = []
        for name, most in {**limits, **self.at_most}.items():
            member = _members(traits, self.category, name)
            if most:
                limited.append((member, most))
            else:
                allowed &= ~member
        return Safety(allowed, tuple(limited))


@dataclass(frozen=True)
class Safety:
    """``allowed`` (n_items,) False = never; ``limited`` pairs a mask (n_items,) with how many of it a list may hold."""

    allowed: Bool
    limited: tuple[tuple[Bool, int], ...] = ()

    def rerank(self, requests: Requests, slates: Slates) -> Slates:
        check_known(slates, len(self.allowed))
        found = kept(slates, self.allowed[slates.item_ix])
        for member, most in self.limited:
            inside = member[found.item_ix]
            count = np.concatenate([[0], np.cumsum(inside)])
            nth = count[1:] - np.repeat(count[found.offsets[:-1]], found.lengths)
            found = kept(found, ~inside | (nth <= most))
        return found


def read_safety(path: Path) -> tuple[set[str], dict[str, int]]:
    """Blocked ids and limits by category; raises ``MissingDataError`` or ``DataError`` with what the file should hold."""
    if path.suffix == ".txt":
        if not path.is_file():
            raise MissingDataError(f"there is no file '{path}'", "It holds the ids of blocked items, one on each line.")
        lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
        return {line for line in lines if line}, {}
    table = read_table(path, text=("item_id", "category"))
    if "item_id" not in table.columns and "category" not in table.columns:
        raise DataError(f"{path.name} has neither a column 'item_id' nor 'category'", f"It has {', '.join(table.columns)}.")
    ids = {str(i) for i in table["item_id"].drop_nulls()} if "item_id" in table.columns else set[str]()
    return ids, _limits(path, table.to_dicts()) if "category" in table.columns else {}


def _limits(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if row["category"] is None:
            continue
        most = row.get("at_most")
        if not isinstance(most, int) or isinstance(most, bool) or most < 0:
            raise DataError(f"{path.name} row {number}: 'at_most' of category '{row['category']}' is {most!r}", "Write 0 or more.")
        out[str(row["category"])] = most
    return out


def _members(traits: Traits, column: str | None, name: str) -> Bool:
    names, shares = traits.shares(column)
    if name not in names:
        raise ConfigError(f"no item has the category '{name}' that the safety list limits", nearest(name, names))
    out = np.zeros(traits.n_items, np.bool_)
    out[shares.tocsc()[:, names.index(name)].indices] = True
    return out
