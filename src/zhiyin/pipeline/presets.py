"""Placements that most products have, as far as the data can fill them."""

from __future__ import annotations

from typing import Any

from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import Repeat
from zhiyin.pipeline.placement import Named, Placement, Rules, Title
from zhiyin.pipeline.rules import CATEGORIES

ALLOW, NEVER = Repeat(policy="allow"), Repeat(policy="never")
VIEWS = ("view", "click", "open", "visit")
STARTS = ("start", "started", "play", "begin", "progress", "resume")
_FEW_ITEMS = 20_000  # above that many comparing every item with every other takes minutes
_FINE = 20  # categories from which on two things of one category replace rather than complete each other

HOME_PAGE = ("continue", "again", "home", "because", "because", "trending", "new", "recent")
"""The shelves of a home page from top to bottom; those the data cannot fill are left out."""


def presets(data: Dataset) -> tuple[Placement, ...]:
    """The presets this data can fill; each is what its name says of shops, and the parts below say how.

    They cost a few closed forms to fit. ``continue``, ``recent`` and ``because`` need an order, ``trending`` and ``new`` time,
    ``search`` text.
    """
    return tuple(_for_people(data)) + tuple(_about_items(data)) + tuple(_of_the_day(data))


def _for_people(data: Dataset) -> list[Placement]:
    """home (for you), push (one thing, never again), again (due), recent, continue."""
    timed = data.manifest.order == "time"
    found = [
        Placement(name="home", fill=True, least=3, title=Title(en="For you", zh="为你推荐")),
        Placement(name="push", repeat=NEVER, size=1, title=Title(en="Picked for you", zh="为你精选")),
        Placement(
            name="again", retrievers=("due-again" if timed else "buy-again",), repeat=ALLOW, title=Title(en="Buy it again", zh="再次购买")
        ),
    ]
    if data.manifest.order != "none":
        views = [kind for kind in data.kinds if kind in VIEWS]
        seen = Title(en="Recently viewed", zh="最近浏览") if views else Title(en="Your recent items", zh="最近使用")
        found.append(Placement(name="recent", retrievers=({"kind": "recent", "kinds": views},), repeat=ALLOW, title=seen))
        found += _continue(data)
    return found


def _continue(data: Dataset) -> list[Placement]:
    """What was begun, or the next part. Where things are bought again ``again`` has that role: on online_retail what
    nearly everybody takes next fills one shelf in twelve and is hit once in a thousand (bench/placements.py)."""
    started = [kind for kind in data.kinds if kind in STARTS]
    going: dict[str, Any] = {"kind": "going-on", "started": started}
    if "series" in data.catalog.table.columns:
        going = {**going, "series": "series"}
    elif not started and data.manifest.repeat.policy != "never":
        return []
    return [Placement(name="continue", retrievers=(going,), repeat=ALLOW, title=Title(en="Continue", zh="继续"))]


def _about_items(data: Dataset) -> list[Placement]:
    """because (of the newest item), product (bought together), cart (what completes it, nothing like it), search."""
    text = "text" in data.catalog.vectors
    found = [_because(data, text=text)] if data.manifest.order != "none" else []
    fine = _has_fine_categories(data)
    complement = Rules(category_of_items="other" if fine else "any", max_text_similarity=0.9 if text else None)
    found += [
        Placement(
            name="product", retrievers=("bought-together",), about="items", repeat=ALLOW,
            title=Title(en="Bought together[ with {anchor}]", zh="经常[与{anchor}]一起购买"),
        ),
        Placement(
            name="cart", retrievers=({"kind": "bought-together", "popularity": 1.0},), about="items", repeat=ALLOW, rules=complement,
            title=Title(en="Goes with your cart", zh="与购物车搭配"),
        ),
    ]  # fmt: skip
    if text:
        found.append(Placement(name="search", retrievers=("content",), about="words", repeat=ALLOW, title=Title(en="Found", zh="搜索结果")))
    return found


def _because(data: Dataset, *, text: bool) -> Placement:
    near: Named = "item-neighbours" if data.n_items <= _FEW_ITEMS else {"kind": "transitions", "followers": 100}
    title = Title(en="Because you {verb} {anchor}", zh="因为你{verb}{anchor}")
    return Placement(name="because", retrievers=(near, "content") if text else (near,), about="last", least=3, title=title)


def _has_fine_categories(data: Dataset) -> bool:
    items, table = data.manifest.items, data.catalog.table
    named = [name for name, kind in (items.columns if items else {}).items() if kind in CATEGORIES and name in table.columns]
    return bool(named) and table[named[0]].n_unique() >= _FINE


def _of_the_day(data: Dataset) -> list[Placement]:
    """trending (here, where the request has a place) and new (first seen within four weeks, ordered by taste)."""
    if data.manifest.order != "time":
        return []
    taste = ("model", "content") if "text" in data.catalog.vectors else ("model",)
    return [
        Placement(
            name="trending",
            retrievers=("trending",),
            repeat=ALLOW,
            least=3,
            title=Title(en="Trending[ in {place}]", zh="[{place}]正在流行"),
        ),
        Placement(name="new", retrievers=taste, rules=Rules(fresh_days=28), title=Title(en="New", zh="新品")),
    ]
