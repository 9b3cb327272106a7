"""Words, meaning, category and person in one score.

    score = (1 - meaning) * B + meaning * M + intent * P          for the items of the pool
    B = BM25 / the query's best BM25                              0..1
    M = (cos - mean cos) / (best cos - mean cos), at least 0      0..1, mean over the catalogue
    P = probability that the query is about the item's category   0..1

With preferences of a person, u in 0..1 over the pool, and their stated weight p:

    score = (1 - p) * score / best score + p * u

A convex combination of shares keeps how much better one item is than the next, which ranks throw away: Bruch, Gai,
Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023. On the tuning half of Cranfield: BM25 .525,
vectors .483, reciprocal ranks .552 at their best, this .557 at meaning = .5 (NDCG@10).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32
from zhiyin.base.spec import Spec


class FindingSpec(Spec):
    """How words, meaning, category and person are weighed; defaults chosen on data that is no test (bench/search.py)."""

    meaning: Annotated[float, Field(ge=0, le=1)] = 0.5
    intent: Annotated[float, Field(ge=0)] = 0.8
    preference: Annotated[float, Field(ge=0, le=1)] = 0.2
    depth: Annotated[int, Field(ge=10)] = 200
    """Items by words, and as many by meaning, that are weighed against each other; the others follow by their words."""
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


def preferred(score: Float32, preference: AnyArray, share: float) -> Float32:
    """Scores (n,) with a person's preferences (n,) of any scale at their share; absent ones (NaN, -inf) count as the least."""
    real = np.isfinite(preference)
    low, high = (float(preference[real].min()), float(preference[real].max())) if real.any() else (0.0, 0.0)
    liking = np.where(real, (np.where(real, preference, low) - low) / max(high - low, 1e-9), 0.0)
    return np.asarray((1 - share) * score / max(float(score.max(initial=0.0)), 1e-9) + share * liking, np.float32)
