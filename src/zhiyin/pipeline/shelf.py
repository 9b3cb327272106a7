"""How a batch of requests becomes the shelves of a placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zhiyin.base.arrays import AnyArray, Ragged
from zhiyin.base.errors import ConfigError, UnknownNameError, nearest
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.retrieve.profile import age_in_events, liked
from zhiyin.models.roles import Model
from zhiyin.pipeline.merge import filled, joined, topped_up
from zhiyin.pipeline.placed import OWN, Placed, key_of
from zhiyin.pipeline.placement import Language, Named, Placement
from zhiyin.pipeline.reranking import Chains, specs_of
from zhiyin.pipeline.rules import ItemFacts, allowed_by, banned_by

_BAN_CELLS = 8_000_000  # rows x items whose rules are looked at together: 8 MB of booleans
VERBS: Mapping[str, tuple[str, str]] = {
    "purchase": ("bought", "买过"), "buy": ("bought", "买过"), "order": ("bought", "买过"), "cart": ("chose", "选过"),
    "view": ("viewed", "看过"), "click": ("viewed", "看过"), "watch": ("watched", "看过"), "play": ("played", "玩过"),
    "listen": ("heard", "听过"), "read": ("read", "读过"), "rating": ("rated", "评过"), "enrol": ("took", "学过"),
    "visit": ("visited", "去过"), "checkin": ("visited", "去过"), "like": ("liked", "喜欢"),
}  # fmt: skip
_ANY_VERB = ("chose", "选过")


def parts_of(model: Model) -> dict[str, Model]:
    """The models inside a model by kind, the first of each."""
    from zhiyin.models.retrieve.blend import Blend
    from zhiyin.models.two_stage import TwoStage

    inner: tuple[Model, ...] = ()
    if isinstance(model, Blend):
        inner = model.parts
    elif isinstance(model, TwoStage):
        inner = (model.stage.first, *parts_of(model.stage.first).values())
    return {part.spec.kind: part for part in reversed(inner)}


@dataclass(frozen=True)
class Shelf:
    """The lists of a batch, what each is about, and who filled them."""

    slates: Slates
    about: Histories
    served_by: str


@dataclass(frozen=True)
class Shelves:
    """Answers requests at placements. ``model`` and ``fallback`` are the recommender's."""

    placed: Placed
    model: Model
    fallback: Model
    data: Dataset

    @cached_property
    def facts(self) -> ItemFacts:
        return ItemFacts(self.data, self.placed.n_known)

    @property
    def _ordered(self) -> bool:
        return self.data.manifest.order != "none"

    @cached_property
    def tiring(self) -> bool:
        """True where some placement counts what people were shown."""
        return any(spec.kind == "fatigue" for placement in self.placed.placements for spec in specs_of(placement))

    @property
    def names(self) -> list[str]:
        return [placement.name for placement in self.placed.placements]

    def has(self, name: str) -> bool:
        return name in self.names

    def find(self, name: str) -> Placement:
        """Raises ``UnknownNameError`` with the nearest name."""
        for placement in self.placed.placements:
            if placement.name == name:
                return placement
        if not self.placed.placements:
            raise UnknownNameError(
                f"no placement is named '{name}', and this model has none", "Give it some: zhiyin placements MODEL --fit"
            )
        raise UnknownNameError(f"no placement is named '{name}'", nearest(name, self.names))

    def check(self) -> None:
        """Raise ``ConfigError`` where a placement names what this recommender does not have, or two share a name."""
        chains = Chains(Traits.of(self.data)) if any(placement.rerankers for placement in self.placed.placements) else None
        for placement in self.placed.placements:
            if self.names.count(placement.name) > 1:
                raise ConfigError(f"two placements are named '{placement.name}'", "Give each its own name.")
            try:
                for named in placement.models:
                    if key_of(named).startswith(OWN):
                        self._model(named)
                self.facts.check(placement.rules)
                if chains is not None:
                    chains.of(placement)
                if placement.about == "last" and not self._ordered:
                    raise ConfigError("it is about the newest item, and these events have no order", 'Say about = "person" or "items".')
            except ConfigError as error:
                raise type(error)(f"placement '{placement.name}': {error.message}", error.hint) from None

    def stand(self, placement: Placement, requests: Requests, n: int, about: Histories | None = None, used: Iterable[int] = ()) -> Shelf:
        """Fill the shelf of each request with at most n items.

        ``requests`` carry the whole person, and in ``exclude`` what must not come back. ``about`` are the items
        given (a product, a cart); without them a shelf is about the person's own. A shelf about the last item
        takes the last that is not ``used``.
        """
        if placement.about == "words" and requests.query_vectors is None:
            raise ConfigError(f"placement '{placement.name}' answers words, and none were given", "Give a text.")
        given = about if about is not None and len(about.item_ix) else None
        if self.needs_items(placement) and given is None:
            raise ConfigError(
                f"placement '{placement.name}' is about items, and there are none: without order nobody has a newest basket",
                "Give items of the catalogue.",
            )
        subject = self._subject(placement, requests.history, given, used)
        if placement.about in ("last", "items"):
            gone = (given or subject).items
            requests = replace(requests, exclude=gone if requests.exclude is None else joined(requests.exclude, gone))
        size = max(1, _BAN_CELLS // max(self.data.n_items, 1)) if self._by_row(placement, requests) else max(len(requests), 1)
        parts, served = [], dict[str, None]()
        for start in range(0, len(requests), size):
            rows = np.arange(start, min(start + size, len(requests)))
            slates, said = self._filled(placement, self._ruled(placement, requests.take(rows), subject.take(rows)), subject.take(rows), n)
            parts.append(slates)
            served |= dict.fromkeys(said)
        return Shelf(Slates.concatenated(parts), subject, ", then ".join(served) or "nobody")

    def needs_items(self, placement: Placement) -> bool:
        """True where only given items make a shelf: without order nobody has a newest basket."""
        return placement.about == "items" and not self._ordered

    def title(self, placement: Placement, language: Language, about: Histories, place: str = "", *, kinds_known: bool = True) -> str:
        """What stands above the first shelf; ``about`` is that of the shelf."""
        kind = self.data.kinds[int(about.kind_ix[0])] if kinds_known and len(about.kind_ix) else ""
        verb = VERBS.get(kind, _ANY_VERB)[language == "zh"]
        anchor = self.data.catalog.titles(about.item_ix)[0] if len(about.item_ix) == 1 else ""
        return placement.title.told(language, {"anchor": anchor, "verb": verb, "place": place})

    def _model(self, named: Named) -> Model:
        key = key_of(named)
        if key == OWN:
            return self.model
        if not key.startswith(OWN + "."):
            return self.placed.models[key]
        parts, kind = parts_of(self.model), key.removeprefix(OWN + ".")
        if kind not in parts:
            has = f"has the parts {', '.join(sorted(parts))}" if parts else "has no parts"
            raise ConfigError(
                f"the model '{self.model.spec.kind}' {has}, not '{kind}'", f"Name '{kind}' to fit one for the placement alone."
            )
        return parts[kind]

    def _subject(self, placement: Placement, history: Histories, given: Histories | None, used: Iterable[int]) -> Histories:
        """The events a shelf is about: the whole past, or, of those given or else his own, the newest one or basket."""
        if placement.about in ("person", "words"):
            return history
        good = given or liked(history)
        if placement.about == "last":
            return good.where(~np.isin(good.item_ix, np.fromiter(used, np.int32))).last(1)
        return given or good.where(age_in_events(good) == 0)

    def _by_row(self, placement: Placement, requests: Requests) -> bool:
        """True where items are banned for each request by itself."""
        moments = placement.rules.fresh_days is not None and len(np.unique(requests.now_us)) > 1
        return placement.rules.about_items or moments

    def _ruled(self, placement: Placement, requests: Requests, subject: Histories) -> Requests:
        """The requests with the placement's rules as ``allowed`` and ``exclude``."""
        rules, banned = placement.rules, Ragged.empty(len(requests))
        moments = np.unique(requests.now_us) if rules.fresh_days is not None else requests.now_us[:1]
        if len(moments) == 1:
            mask = allowed_by(rules, self.facts, int(moments[0]))
            if mask is not None:
                requests = replace(requests, allowed=mask if requests.allowed is None else mask & requests.allowed)
        elif len(moments):
            masks = {now: allowed_by(rules, self.facts, int(now)) for now in moments.tolist()}
            banned = Ragged.of([np.flatnonzero(~mask) for now in requests.now_us.tolist() if (mask := masks[now]) is not None])
        if rules.about_items:
            banned = joined(banned, banned_by(rules, self.facts, subject.items))
        if len(banned.values):
            requests = replace(requests, exclude=banned if requests.exclude is None else joined(requests.exclude, banned))
        return requests

    def _filled(self, placement: Placement, requests: Requests, subject: Histories, n: int) -> tuple[Slates, list[str]]:
        """Retrievers in order, then the ranker, then what is popular; and who of them had something to say."""
        asked = replace(requests, history=subject)
        wanted = max(n, placement.depth) if placement.ranker is not None else n
        found, served = Slates.concatenated([]), list[str]()
        for at, named in enumerate(placement.retrievers):
            model = self._model(named)
            if at == 0:
                found = model.retrieve(asked, wanted)
                served += [model.spec.kind] if len(found.item_ix) else []
            else:
                found = self._more(found, model, asked, wanted, served)
        if placement.ranker is not None:
            found = self._ranked(found, self._model(placement.ranker), requests, n)
        if placement.fill:
            found = self._more(found, self.fallback, requests, n, served)
        return found, served

    @staticmethod
    def _more(found: Slates, model: Model, requests: Requests, n: int, served: list[str]) -> Slates:
        """Lists shorter than n, filled by another model, which is named where it had something."""
        whole = topped_up(found, model, requests, n)
        if len(whole.item_ix) > len(found.item_ix) and model.spec.kind not in served:
            served.append(model.spec.kind)
        return whole

    @staticmethod
    def _ranked(found: Slates, ranker: Model, requests: Requests, n: int) -> Slates:
        """The same items in the ranker's order; those it knows nothing of keep theirs and follow."""
        best = ranker.retrieve(replace(requests, candidates=found.items), int(found.lengths.max(initial=1)))
        width = int(max(best.item_ix.max(initial=0), found.item_ix.max(initial=0))) + 1
        left = ~np.isin(found.items.rows * width + found.item_ix, best.items.rows * width + best.item_ix)
        kept = Histories.of_items(found.items).where(left).items
        positions: AnyArray = np.flatnonzero(left)
        rest = Slates(kept.offsets, found.item_ix[positions], found.score[positions])
        return filled(Slates(best.offsets, best.item_ix, best.score), np.arange(len(best)), rest, n)
