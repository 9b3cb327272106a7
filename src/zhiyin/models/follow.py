"""People to follow: who is near somebody in the graph of links, who likes what he likes, and whom many know.

Three signals, each divided by its best and added. *Near* is a short random walk from the person over links in both
directions, cut after ``steps`` (Liben-Nowell and Kleinberg, CIKM 2003: rooted PageRank; three steps reach the friends of
friends' friends). *Alike* is the cosine of the sets of liked items, rare items counting more (inverse user frequency,
Breese et al., UAI 1998). *Known* is the logarithm of how many are linked to somebody. Nothing is trained: a link or a
person that comes counts in the next answer.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int64, Ragged
from zhiyin.base.spec import Spec

_BEAM = 500
_MOST_KNOWN = 1_000
_MOST_LINKS = 5_000
_MOST_LOOKED_AT = 200_000
_NOBODY: Int64 = np.zeros(0, np.int64)


class FollowSpec(Spec):
    """``damping`` 0..1 is how much each further step of the walk counts; ``taste`` and ``known`` are the weights of liking the
    same things and of being known to many, beside that of being near. Chosen on held-out links of lastfm-2k and filmtrust
    (bench/follow.py): for people with links near is what counts, for those without the other two."""

    steps: Annotated[int, Field(ge=2, le=10)] = 3
    damping: Annotated[float, Field(gt=0, le=1)] = 0.85
    taste: Annotated[float, Field(ge=0)] = 0.2
    known: Annotated[float, Field(ge=0)] = 0.2


class Links:
    """Who is linked to whom, by number; a link may be said several times and ends with the last. One thread at a time."""

    def __init__(self) -> None:
        self._to: dict[int, array[int]] = {}
        self._from: dict[int, array[int]] = {}
        self._counts = np.zeros((2, 64), np.int32)  # links to each, and from each

    def add(self, head: int, tail: int) -> None:
        """One more link; nobody is linked to himself."""
        if head != tail:
            self._to.setdefault(head, array("i")).append(tail)
            self._from.setdefault(tail, array("i")).append(head)
            if (more := max(head, tail) + 1) > self._counts.shape[1]:
                self._counts = np.pad(self._counts, ((0, 0), (0, max(more, 64 + self._counts.shape[1]))))
            self._counts[0, tail] += 1
            self._counts[1, head] += 1

    def remove(self, head: int, tail: int) -> None:
        """Take a link away, once, where it is there."""
        if tail in self._to.get(head, ()):
            self._to[head].remove(tail)
            self._from[tail].remove(head)
            self._counts[0, tail] -= 1
            self._counts[1, head] -= 1

    def of(self, person: int) -> Int64:
        """Whom a person is linked to, each once: (n,)."""
        return np.unique(np.array(self._to.get(person, ()), np.int64))

    def n_to(self, person: int) -> int:
        """How many are linked to a person."""
        return len(set(self._from.get(person, ())))

    def linked(self, people: AnyArray) -> Bool:
        """True for those with a link to somebody or from somebody: (n,)."""
        there = people < self._counts.shape[1]
        return np.asarray(there & (self._counts[:, np.where(there, people, 0)].sum(axis=0) > 0))

    def known(self, people: AnyArray) -> Float64:
        """How known each is by links to him: log(1 + links), (n,)."""
        there = people < self._counts.shape[1]
        return np.log1p(np.where(there, self._counts[0, np.where(there, people, 0)], 0))

    def best_known(self, n: int) -> Int64:
        """The n with most links to them and, behind those, from them; people without links never: (at most n,)."""
        linked = np.flatnonzero(self._counts.sum(axis=0))
        worth = self._counts[0, linked].astype(np.int64)
        if len(linked) > 2 * n:
            linked = linked[worth >= np.partition(worth, len(worth) - n)[len(worth) - n]]
        return linked[np.lexsort((linked, -self._counts[0, linked]))][:n]

    def near(self, person: int) -> Int64:
        """Everybody with a link to or from a person, each once, the newest few thousand of very many: (n,)."""
        both = [*self._to.get(person, ())[-_MOST_LINKS:], *self._from.get(person, ())[-_MOST_LINKS:]]
        return np.unique(np.array(both, np.int64))

    def walk(self, person: int, spec: FollowSpec, hidden: Collection[int] = ()) -> tuple[Int64, Float64]:
        """People a walk from a person meets, and how much of it: (n,) each. It passes nobody who is ``hidden``.

        From step to step only the likeliest few hundred go on, which bounds the cost of an answer.
        """
        at, mass = np.array([person], np.int64), np.ones(1)
        met, amount = [_NOBODY], [np.zeros(0)]
        unseen = np.fromiter(hidden, np.int64, len(hidden))
        for step in range(spec.steps):
            reached, parts = [_NOBODY], [np.zeros(0)]
            for one, m in zip(at.tolist(), mass.tolist(), strict=True):
                others = self.near(one)
                others = others[~np.isin(others, unseen)] if len(unseen) else others
                reached.append(others)
                parts.append(np.full(len(others), m / max(len(others), 1)))
            at, mass = _summed(np.concatenate(reached), np.concatenate(parts))
            met.append(at)
            amount.append(mass * spec.damping**step)
            best = np.argsort(-mass, kind="stable")[:_BEAM]
            at, mass = at[best], mass[best]
        return _summed(np.concatenate(met), np.concatenate(amount))


class Tastes:
    """What people liked, by number of person and item. ``people_of_item`` (n_items,) says how rare each item is."""

    def __init__(self, people_of_item: AnyArray, n_people: int) -> None:
        self._worth: Float64 = np.log((1 + n_people) / (1.0 + np.minimum(people_of_item, n_people))) ** 2
        self._takers: dict[int, array[int]] = {}
        self._lengths: dict[int, float] = {}

    def add(self, people: Iterable[int], liked: Ragged) -> None:
        """People who are new here, each with what he liked."""
        for row, person in enumerate(people):
            items = self._known(liked[row])
            if person in self._lengths or not len(items):
                continue
            self._lengths[person] = float(np.sqrt(self._worth[items].sum()))
            for item in items.tolist():
                self._takers.setdefault(item, array("i")).append(person)

    def alike(self, liked: AnyArray) -> tuple[Int64, Float64]:
        """People who liked some of the same, and the cosine: (n,) each. The rarest items are looked at first, up to a bound."""
        items = self._known(liked)
        whole = float(np.sqrt(self._worth[items].sum()))
        if whole <= 0:
            return _NOBODY, np.zeros(0)
        found, worth, left = [_NOBODY], [np.zeros(0)], _MOST_LOOKED_AT
        for item in items[np.argsort(-self._worth[items], kind="stable")].tolist():
            takers = np.array(self._takers.get(item, ()), np.int64)
            found.append(takers)
            worth.append(np.full(len(takers), self._worth[item]))
            left -= len(takers)
            if left <= 0:
                break
        people, shared = _summed(np.concatenate(found), np.concatenate(worth))
        lengths = np.array([self._lengths[person] for person in people.tolist()])
        return people, shared / np.maximum(lengths * whole, 1e-12)

    def _known(self, items: AnyArray) -> Int64:
        each = np.unique(np.asarray(items, np.int64))
        return each[(each >= 0) & (each < len(self._worth))]


class Nearest(NamedTuple):
    """People best first, what each is worth, and how near and alike he is, as shares of the nearest and the most alike: (n,) each."""

    people: Int64
    worth: Float64
    near: Float64
    alike: Float64


def nearest_people(
    links: Links, tastes: Tastes, person: int, liked: AnyArray, spec: FollowSpec, hidden: Collection[int] = (), gone: AnyArray = _NOBODY
) -> Nearest:
    """People by how much somebody may want to follow them: all who are near or alike, and the thousand best known.

    ``person`` -1 has no links. Only people with links stand there, none of those in ``gone``; nobody ``hidden`` does, or is
    passed on the way.
    """
    near, walked = links.walk(person, spec, hidden) if person >= 0 else (_NOBODY, np.zeros(0))
    alike, cosine = tastes.alike(liked) if spec.taste else (_NOBODY, np.zeros(0))
    out = np.unique(np.concatenate([near, alike, links.best_known(_MOST_KNOWN + len(hidden) + len(gone))]))
    left = np.concatenate([np.fromiter(hidden, np.int64, len(hidden)), np.asarray(gone, np.int64), [person]])
    out = out[~np.isin(out, left)]
    out = out[links.linked(out)]
    nearness, likeness, known = _share(out, near, walked), _share(out, alike, cosine), links.known(out)
    worth = nearness + spec.taste * likeness + spec.known * known / max(float(known.max(initial=0.0)), 1e-12)
    order = np.lexsort((out, -worth))
    return Nearest(out[order], worth[order], nearness[order], likeness[order])


def _share(wanted: Int64, known: Int64, amount: Float64) -> Float64:
    """The amount of each wanted person as a share of the greatest of them; 0 for those not known: (n_wanted,)."""
    out = np.zeros(len(wanted))
    if not len(known) or not len(wanted):
        return out
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    out = np.where(known[at] == wanted, amount[at], 0.0)
    return out / max(float(out.max()), 1e-12)


def _summed(keys: Int64, amounts: Float64) -> tuple[Int64, Float64]:
    """Each key once, ascending, with the sum of its amounts."""
    each, which = np.unique(keys, return_inverse=True)
    return each, np.bincount(which, amounts, minlength=len(each)).astype(np.float64)
