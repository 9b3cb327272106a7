"""What must hold before a model goes live: sentences about answers, checked against every challenger.

    [[never]]                       # items that must never be shown
    filter = 'title contains "postage"'

    [[language]]                    # a query in a language is answered with items in it
    query = "红色雨伞"
    answers = "zh"

    [[golden]]                      # people (or histories) whose answers must hold something
    history = ["22423", "22699"]
    any_of = ["22697"]
    within = 20

``expectations.toml`` stands beside the trained folder, in FOLDER.live.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray
from zhiyin.base.errors import ConfigError, ZhiyinError
from zhiyin.base.spec import Spec
from zhiyin.data.filters import Columns, Filters
from zhiyin.pipeline.recommender import Recommender

FILE = "expectations.toml"
_PEOPLE = 200


class Never(Spec):
    """Items that must be in nobody's list: looked for in the lists of many people."""

    filter: str


class InLanguage(Spec):
    """Most answers to a query are in a language."""

    query: str
    answers: Literal["en", "zh"]
    n: Annotated[int, Field(ge=1, le=100)] = 10


class Golden(Spec):
    """Somebody whose list must hold one of these items (``any_of``), or none of those (``none_of``)."""

    user: str | None = None
    history: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    within: Annotated[int, Field(ge=1, le=1000)] = 20


class Expectations(Spec):
    """All of a file."""

    never: tuple[Never, ...] = ()
    language: tuple[InLanguage, ...] = ()
    golden: tuple[Golden, ...] = ()

    @property
    def n(self) -> int:
        return len(self.never) + len(self.language) + len(self.golden)


def read_expectations(home: Path) -> Expectations:
    """The expectations of a tenant; none where there is no file. Raises ``ConfigError`` with the place of a mistake."""
    path = home / FILE
    if not path.is_file():
        return Expectations()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path.name}' is not TOML: {error}", "Mend it; no model goes live before.") from None
    return Expectations.parse(table, path.name)


def broken(expected: Expectations, recommender: Recommender) -> list[str]:
    """A sentence for every expectation that a recommender does not meet."""
    said: list[str] = []
    for never in expected.never:
        said += _never(never, recommender)
    for language in expected.language:
        said += _language(language, recommender)
    for golden in expected.golden:
        said += _golden(golden, recommender)
    return said


def _never(never: Never, recommender: Recommender) -> list[str]:
    mask = Filters(Columns.of(recommender.catalog, recommender.data.manifest)).mask(never.filter, recommender.catalog)
    people = np.unique(np.linspace(0, max(recommender.data.n_users - 1, 0), _PEOPLE).astype(np.int32))
    shown: AnyArray = recommender.lists(people, 20).item_ix if recommender.data.n_users else np.zeros(0, np.int32)
    found = np.unique(shown[mask[shown]])
    if not len(found):
        return []
    return [f"never '{never.filter}': {len(found)} such items are shown, such as '{recommender.catalog.titles(found[:1])[0]}'"]


def _language(language: InLanguage, recommender: Recommender) -> list[str]:
    try:
        answer = recommender.recommend(text=language.query, n=language.n)
    except ZhiyinError as error:
        return [f"query '{language.query}': {error.message}"]
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in item.title) for item in answer)
    right = chinese if language.answers == "zh" else len(answer) - chinese
    if len(answer) and right * 2 > len(answer):
        return []
    return [f"query '{language.query}': {right} of {len(answer)} answers are in '{language.answers}'"]


def _golden(golden: Golden, recommender: Recommender) -> list[str]:
    who = f"user '{golden.user}'" if golden.user else f"history of {len(golden.history)}"
    ids = recommender.recommend(golden.user, history=list(golden.history) or None, n=golden.within).ids
    said = []
    if golden.any_of and not set(golden.any_of) & set(ids):
        said.append(f"{who}: none of {', '.join(golden.any_of)} within the first {golden.within}")
    if wrong := [item for item in golden.none_of if item in ids]:
        said.append(f"{who}: '{wrong[0]}' is shown")
    return said
