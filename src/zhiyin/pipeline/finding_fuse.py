"""Words, meaning, category and person in one score.

    score = (1 - meaning) * B + meaning * M + intent * P + title * T          for the items of the pool
    B = BM25 / the query's best BM25                              0..1
    M = (cos - mean cos) / (best cos - mean cos), at least 0      0..1, mean over the catalogue
    P = probability that the query is about the item's category, times how much the query says (finding_intent)   0..1
    T = how alike the query and the item's title are spelt, squared (1 - edits / letters, nothing below a half)   0..1

With preferences of a person, u in 0..1 over the pool, and their stated weight p:

    score = (1 - p) * score / best score + p * u

A convex combination of shares keeps how much better one item is than the next, which ranks throw away: Bruch, Gai,
Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023. On the tuning half of Cranfield (NDCG@10):
BM25 .513, vectors .483, both .560 at meaning = .5 (.558 at .4, .556 at .6); a prototype with reciprocal ranks reached .552 at
its best where this one had .557.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from rapidfuzz.distance import Levenshtein

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.spec import Spec
from zhiyin.text.script import folded

_OTHER = re.compile(r"[\W_]+")

LONGEST_TITLE = 80
"""Letters of a query above which it is no title."""


class FindingSpec(Spec):
    """How words, meaning, category and person are weighed; defaults chosen on data that is no test (bench/search.py)."""

    meaning: Annotated[float, Field(ge=0, le=1)] = 0.5
    intent: Annotated[float, Field(ge=0)] = 2.0
    title: Annotated[float, Field(ge=0)] = 0.8
    preference: Annotated[float, Field(ge=0, le=1)] = 0.2
    depth: Annotated[int, Field(ge=10)] = 200
    """Items by words, and as many by meaning, that are weighed against each other; the others follow by their words."""
    close: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Items without the words are shown when their M is at least this."""
    all_words_up_to: Annotated[int, Field(ge=0)] = 4
    """A query of at most so many words is for items that have all of them; a longer one describes something."""
    unread_share: Annotated[float, Field(ge=0, le=1)] = 0.34
    """Above this share of unknown tokens the encoder cannot read a query, and words alone find."""


def fused(
    words: Float32, best_words: float, cosine: Float32 | None, mean_cosine: float, category: Float32 | None, spec: FindingSpec
) -> Float32:
    """The score of each item of the pool (n,): BM25 scores, cosines (None = not read), category probabilities (None = no idea)."""
    score = words / np.float32(max(best_words, 1e-9))
    if cosine is not None:
        span = float(cosine.max(initial=-1.0)) - mean_cosine
        meaning = np.clip((cosine - mean_cosine) / max(span, 1e-6), 0.0, 1.0)
        score = (1 - spec.meaning) * score + spec.meaning * meaning
    if category is not None:
        score = score + spec.intent * category
    return np.asarray(score, np.float32)


def title_likeness(query: str, titles: Sequence[str]) -> Float32:
    """T of the formula for each title (n,): whoever types a whole title, or nearly so, wants that one."""
    asked = squeezed(query)
    if not asked or len(asked) > LONGEST_TITLE:
        return np.zeros(len(titles), np.float32)
    # A title more than twice as long cannot be half alike, whatever of it is no letter.
    alike = [
        Levenshtein.normalized_similarity(asked, squeezed(title), score_cutoff=0.5) if len(title) <= 3 * len(asked) else 0.0
        for title in titles
    ]
    return np.square(np.array(alike, np.float32))


def squeezed(text: str) -> str:
    """Folded letters and digits alone."""
    return _OTHER.sub("", folded(text))


def preferred(score: Float32, preference: AnyArray, share: float) -> Float32:
    """Scores (n,) with a person's preferences (n,) of any scale at their share; absent ones (NaN, -inf) count as the least."""
    real = np.isfinite(preference)
    low, high = (float(preference[real].min()), float(preference[real].max())) if real.any() else (0.0, 0.0)
    liking = np.where(real, (np.where(real, preference, low) - low) / max(high - low, 1e-9), 0.0)
    return np.asarray((1 - share) * score / max(float(score.max(initial=0.0)), 1e-9) + share * liking, np.float32)
