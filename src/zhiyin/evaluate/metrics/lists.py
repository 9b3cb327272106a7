"""One batch of lists under judgement, with everything several metrics share computed once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import Bool, Int64
from zhiyin.base.errors import ConfigError
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Hits, Truth, hits_of
from zhiyin.evaluate.facts import ItemFacts


class Judged:
    """Lists with their answers and, when given, the requests they answer and the facts of the items."""

    def __init__(self, slates: Slates, truth: Truth, requests: Requests | None = None, facts: ItemFacts | None = None) -> None:
        self.slates = slates
        self.truth = truth
        self._requests = requests
        self._facts = facts
        self._tops: dict[int, Slates] = {}

    def __len__(self) -> int:
        return len(self.slates)

    @cached_property
    def hits(self) -> Hits:
        return hits_of(self.slates, self.truth)

    @property
    def undefined(self) -> Bool:
        """(n,) True where nothing is relevant: no accuracy can be told."""
        return np.asarray(self.hits.n_relevant == 0)

    @property
    def facts(self) -> ItemFacts:
        if self._facts is None:
            raise ConfigError("this metric needs facts about the items", "Give facts=ItemFacts.of(train).")
        return self._facts

    @property
    def requests(self) -> Requests:
        if self._requests is None:
            raise ConfigError("this metric needs the requests behind the lists", "Give requests=.")
        return self._requests

    def top(self, k: int) -> Slates:
        if k not in self._tops:
            self._tops[k] = self.slates if int(self.slates.lengths.max(initial=0)) <= k else self.slates.top(k)
        return self._tops[k]

    def matrix(self, k: int) -> sp.csr_matrix:
        """(n, n_items) with 1 where an item is among the first k."""
        top = self.top(k)
        return sp.csr_matrix((np.ones(len(top.item_ix)), top.item_ix, top.offsets), shape=(len(self), self.facts.n_items))

    @cached_property
    def n_candidates(self) -> Int64:
        """(n,) how many items each list was chosen from: the catalogue less what the request forbids."""
        allowed = np.ones(self.facts.n_items, np.bool_)
        for mask in (self.requests.allowed, self.facts.available):
            if mask is not None:
                allowed &= mask
        return n_candidates(self.requests, allowed)


def n_candidates(requests: Requests, allowed: Bool) -> Int64:
    """How many of the ``allowed`` (n_items,) items each request could have been given: (n,)."""
    n_items = len(allowed)
    n = len(requests)
    if requests.candidates is not None:
        pool = requests.candidates.rows * n_items + requests.candidates.values
        pool = np.unique(pool[allowed[requests.candidates.values]])
        if requests.exclude is not None:
            pool = pool[~np.isin(pool, requests.exclude.rows * n_items + requests.exclude.values)]
        return np.bincount(pool // n_items, minlength=n).astype(np.int64)
    count = np.full(n, int(allowed.sum()), np.int64)
    if requests.exclude is not None:
        gone = requests.exclude.rows * n_items + requests.exclude.values
        gone = np.unique(gone[allowed[requests.exclude.values]])
        count -= np.bincount(gone // n_items, minlength=n)
    return count
