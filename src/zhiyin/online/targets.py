"""What is recommended and found beside items: people to follow, groups to join, topics.

People who allow no personal answers (``personalize: false``), or nothing to be stored, are shown to nobody, and nothing about
them is used for others; asking for themselves they get what is popular.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.arrays import AnyArray, Int64
from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.data.requests import Histories
from zhiyin.online.asks import Ask, Shown, Target
from zhiyin.online.circle import Circle
from zhiyin.online.rows import time_of
from zhiyin.online.searching import Hit, Results, Search
from zhiyin.online.topics import Topics, worth_of
from zhiyin.pipeline.placement import Language

if TYPE_CHECKING:
    from zhiyin.online.snapshot import Snapshot
    from zhiyin.online.tenant import Tenant

TAGS = "tags"
_FITTING = frozenset({"user", "session", "text", "target", "n", "exclude", "personalized", "language", "time", "seed", "context", "place"})
_MORE: dict[Target, frozenset[str]] = {
    "users": frozenset({"history"}),
    "groups": frozenset({"history"}),
    "topics": frozenset({"history", "filter"}),
}
_WORDS: dict[str, tuple[str, str]] = {
    "friends": ("Linked with {n} of those around you", "与您身边的 {n} 人有联系"),
    "near": ("Near you in the network", "与您的圈子相近"),
    "alike": ("Likes what you like", "与您兴趣相投"),
    "followed": ("Many follow this one", "很多人关注"),
    "members": ("People around you are in it", "您身边的人在其中"),
    "large": ("Many belong to it", "很多人加入"),
    "interest": ("Fits what you did", "根据您的行为推荐"),
    "popular": ("Popular with everybody", "大家都喜欢"),
    "text": ("Named so", "名称相符"),
}


@dataclass(frozen=True)
class Listed:
    """What was found; ``late`` says what keeps it from being up to date."""

    items: list[Shown]
    served_by: str
    notes: list[str] = field(default_factory=list)
    late: str = ""


@dataclass(frozen=True)
class _Asker:
    """Who asks, as far as it may be used."""

    user: str | None
    history: Histories
    hidden_topics: Collection[str]
    tags: dict[str, bool]

    @property
    def liked(self) -> Int64:
        return self.history.item_ix[self.history.weight > 0].astype(np.int64)


class Targets:
    """People, groups and topics of one tenant; made once, follows its bundle and tables by itself."""

    def __init__(self) -> None:
        self._circle_now: Circle | None = None
        self._topics_now: tuple[object, Topics] | None = None

    def found(self, tenant: Tenant, ask: Ask) -> Listed:
        """The list of an ask whose target is not items. Raises ``ConfigError`` for what such a list cannot have regard to,
        ``MissingDataError`` where nothing of the kind is known."""
        _check(ask)
        asker = _asker(tenant, ask)
        n, language = ask.n or 10, ask.language or ("zh" if tenant.snapshot.language == "zh" else "en")
        if ask.target == "topics":
            return self._of_topics(tenant, ask, asker, n, language)
        circle = self._circle(tenant)
        late = circle.look()
        with circle.lock:
            find = _groups if ask.target == "groups" else _users
            listed = find(circle, ask, asker, _hidden(tenant, circle), n, language)
        return Listed(listed.items, listed.served_by, listed.notes, late)

    def search(self, tenant: Tenant, said: Search) -> Results:
        """People, groups or topics whose name goes on like what was typed. Raises as ``found``."""
        if said.facets:
            raise ConfigError(f"'facets' say nothing about {said.target}", 'Leave them out, or ask for target = "items".')
        ask = Ask(
            target=said.target, text=said.text, n=min(said.n + said.offset + 1, 1_000), filter=said.filter, user=said.user,
            session=said.session, personalized=said.personalized, language=said.language,
        )  # fmt: skip
        listed = self.found(tenant, ask)
        end = said.offset + said.n
        hits = [Hit(one.item, one.title, one.score, one.why, one.kind, one.count) for one in listed.items[said.offset : end]]
        return Results(
            items=hits, total=len(listed.items[:end]), understood=said.text, facets={}, fallback="", note=listed.late, personalised=0.0,
            next=end if len(listed.items) > end else None, model=tenant.snapshot.version, degraded=bool(listed.late),
        )  # fmt: skip

    def _circle(self, tenant: Tenant) -> Circle:
        """Another bundle has other people: its circle is read anew."""
        circle, people = self._circle_now, tenant.people
        if circle is None or circle.people is not people:
            circle = self._circle_now = Circle(people.base, people, tenant.shop.tables)
        return circle

    def _topics(self, snapshot: Snapshot) -> Topics:
        known, table = self._topics_now, snapshot.catalog.table
        if known is None or known[0] is not table:
            known = self._topics_now = (table, Topics.of(snapshot))
        return known[1]

    def _of_topics(self, tenant: Tenant, ask: Ask, asker: _Asker, n: int, language: Language) -> Listed:
        snapshot = tenant.snapshot
        topics = self._topics(snapshot)
        if not len(topics):
            raise MissingDataError("the items have no topics", "Give a column of them the type category or list in the manifest.")
        now_us = time_of(ask.time, tenant.clock())
        of_person = topics.of_person(snapshot, asker.history, now_us, asker.tags, asker.hidden_topics)
        score = worth_of(of_person, topics.of_everybody(tenant.counters.popular(len(snapshot.catalog))))
        counts = topics.counts(_allowed(snapshot, ask))
        score = np.where(counts > 0, score, -1.0)
        score[[number for number, (_, name) in enumerate(topics.names) if name in ask.exclude]] = -1.0
        if ask.text is None:
            order = np.lexsort((np.arange(len(score)), -counts, -score))
            best = order[score[order] >= 0][:n].tolist()
        else:
            best = topics.index.search(ask.text, score, n)
        items = []
        for number in best:
            column, name = topics.names[number]
            reason = "text" if ask.text is not None else "interest" if of_person[number] > 0 else "popular"
            items.append(Shown(name, float(score[number]), name, reason, _why(reason, language), kind=column, count=int(counts[number])))
        return Listed(items, "text" if ask.text is not None else "interest" if (of_person > 0).any() else "popular")


def _users(circle: Circle, ask: Ask, asker: _Asker, hidden: Collection[int], n: int, language: Language) -> Listed:
    if not len(circle.links.best_known(1)):
        raise MissingDataError("nobody is linked to anybody here", "Put relations between people: head and tail as user:ID.")
    me, gone = circle.find(asker.user), _numbers(circle.find, [*ask.exclude, *([ask.user] if ask.user else [])])
    if ask.text is not None:
        everybody = np.arange(len(circle.ids))
        weights = np.where(circle.links.linked(everybody), circle.links.known(everybody), -1.0)
        weights[[*hidden, *gone]] = -1.0
        return Listed([_person(circle, one, weights[one], "text", language) for one in circle.names.search(ask.text, weights, n)], "text")
    found = circle.to_follow(me, asker.liked, hidden, np.array(sorted(gone), np.int64))
    items = []
    mine = set(circle.links.near(me).tolist()) - set(hidden) if me >= 0 else set()
    for one, worth, close, like in zip(*(column[:n].tolist() for column in found), strict=True):
        shared = len(mine & set(circle.links.near(one).tolist()))
        reason = "friends" if shared else "near" if close > 0 else "alike" if like > 0 else "followed"
        items.append(_person(circle, one, worth, reason, language, shared))
    served = "follow" if me >= 0 or len(asker.liked) else "followed"
    return Listed(items, served)


def _groups(circle: Circle, ask: Ask, asker: _Asker, hidden: Collection[int], n: int, language: Language) -> Listed:
    if not circle.group_ids:
        raise MissingDataError("nobody belongs to a group here", "Put relations of people whose tail is group:ID.")
    me, gone = circle.find(asker.user), _numbers(circle.find_group, ask.exclude)
    if ask.text is not None:
        weights = np.full(len(circle.group_ids), -1.0)
        for group in circle.joined(gone):
            weights[group] = circle.n_members(group)
        return Listed([_group(circle, one, weights[one], "text", language) for one in circle.groups.search(ask.text, weights, n)], "text")
    best = circle.to_join(me, asker.liked, hidden, gone)[:n]
    items = [_group(circle, group, score, "members", language) for group, score in best]
    served = ["follow"] if items else []
    had = {*gone, *(group for group, _ in best), *circle.groups_of.get(me, ())}
    if len(items) < n and (rest := circle.joined(had)[: n - len(items)]):
        items += [_group(circle, group, -float(place), "large", language) for place, group in enumerate(rest, 1)]
        served.append("large")
    return Listed(items, ", then ".join(served) or "nobody")


def _person(circle: Circle, number: int, score: float, reason: str, language: Language, shared: int = 0) -> Shown:
    why = _why(reason, language, shared)
    return Shown(circle.ids[number], float(score), circle.names[number], reason, why, kind="user", count=circle.links.n_to(number))


def _group(circle: Circle, number: int, score: float, reason: str, language: Language) -> Shown:
    why = _why(reason, language)
    return Shown(circle.group_ids[number], float(score), circle.groups[number], reason, why, kind="group", count=circle.n_members(number))


def _why(reason: str, language: Language, n: int = 0) -> str:
    return _WORDS[reason][language == "zh"].replace("{n}", str(n))


def _check(ask: Ask) -> None:
    target = ask.target
    for name in Ask.__struct_fields__:
        default = [] if name == "exclude" else Ask.__struct_defaults__[Ask.__struct_fields__.index(name)]
        if name != "placement" and name not in _FITTING | _MORE[target] and getattr(ask, name) != default:
            raise ConfigError(f"'{name}' says nothing about {target}", 'Leave it out, or ask for target = "items".')
    if ask.placement != "home":
        raise ConfigError(f"placement '{ask.placement}' holds items, not {target}", "Leave the placement out.")


def _asker(tenant: Tenant, ask: Ask) -> _Asker:
    person = -1
    if ask.personalized and ask.user not in tenant.private:
        person = tenant.people.find(ask.user, ask.session)
    personal = ask.personalized and ask.user not in tenant.private
    now = np.array([time_of(ask.time, tenant.clock())], np.int64)
    past = tenant.people.history(np.array([person]), now)
    if personal and ask.history is not None:
        past = tenant.snapshot.recommender.asker.given(tenant.snapshot.rows_of(ask.history, "history", []), int(now[0]))
    row = tenant.shop.tables.get(TAGS, [ask.user]) if personal and ask.user and ask.target == "topics" else {}
    said = row[ask.user].body if ask.user in row else {}
    tags = {tag["tag"]: bool(tag.get("like", True)) for tag in said.get("tags", ())}
    return _Asker(ask.user if personal else None, past, frozenset(said.get("hidden", ())), tags)


def _hidden(tenant: Tenant, circle: Circle) -> set[int]:
    """People who are neither shown nor used."""
    return _numbers(circle.find, [*tenant.private, *tenant.silent])


def _numbers(find: Any, ids: Sequence[str]) -> set[int]:
    return {number for one in ids if (number := find(one)) >= 0}


def _allowed(snapshot: Snapshot, ask: Ask) -> AnyArray | None:
    shown = snapshot.catalog.available
    if ask.filter is None:
        return shown
    mask = snapshot.mask(ask.filter)
    return mask if shown is None else mask & shown
