"""What there is: shops, films, news and courses, with texts made of the words of their theme and mood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import Float64, Int32
from zhiyin.testing.town.layout import N_SQUARES, Groups
from zhiyin.testing.town.spec import TownSpec
from zhiyin.testing.town.words import ABOUT, DOMAINS, LANGUAGES, MOODS, NAMES, NOUNS, THEMES

PRICE_CNY = {"shop": 60.0, "film": 45.0, "news": 2.0, "course": 400.0}
DOMAIN_SHARE = (0.4, 0.2, 0.25, 0.15)
NEWS_HALF_LIFE_WEEKS = 2.0
STRAY = 0.2  # share of descriptions with a word of a foreign theme: texts are never quite clean


@dataclass(frozen=True, slots=True)
class Things:
    """n_items things, sorted by group; ``number`` is their public number, which tells nothing."""

    groups: Groups
    group: Int32  # (n,) ascending
    starts: Int32  # (n_groups + 1,) where each group begins
    number: Int32  # (n,) a permutation
    square: Int32  # (n,) -1 = online
    published_week: Int32  # (n,) 0 = from the start
    appeal: Float64  # (n,) standard normal
    price: Float64  # (n,) CNY

    def __len__(self) -> int:
        return len(self.group)

    @classmethod
    def made(cls, spec: TownSpec, rng: np.random.Generator) -> Things:
        n, groups = spec.n_items, Groups.all()
        share = np.array(DOMAIN_SHARE)[groups.domain]
        if spec.language != "mixed":
            share = share * (groups.language == LANGUAGES.index(spec.language))
        group = np.sort(rng.choice(len(groups), n, p=share / share.sum())).astype(np.int32)
        domain = groups.domain[group]
        placed = (domain == 0) | ((domain == 1) & (rng.random(n) < 0.7)) | ((domain == 3) & (rng.random(n) < 0.5))
        week = np.where(rng.random(n) < spec.new_share, rng.integers(1, spec.weeks, n), 0)
        refined = groups.mood[group] == list(MOODS).index("refined")
        base = np.array([PRICE_CNY[d] for d in DOMAINS])[domain]
        return cls(
            groups,
            group,
            np.searchsorted(group, np.arange(len(groups) + 1)).astype(np.int32),
            rng.permutation(n).astype(np.int32),
            np.where(placed, rng.integers(0, N_SQUARES, n), -1).astype(np.int32),
            week.astype(np.int32),
            rng.standard_normal(n),
            np.round(base * rng.lognormal(0, 0.3, n) * np.where(refined, 2.0, 1.0), 2),
        )

    def fresh(self, week: int) -> Float64:
        """Share of its appeal that a thing has in a week, 0 before it is published: (n,). News fade."""
        age = week - self.published_week
        news = self.groups.domain[self.group] == DOMAINS.index("news")
        return np.where(age < 0, 0.0, np.where(news, np.exp2(-np.maximum(age, 0) / NEWS_HALF_LIFE_WEEKS).clip(0.05), 1.0))


def texts(things: Things, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Titles and descriptions: (n,), (n,). Every one holds words of its theme and its mood."""
    themes, moods = list(THEMES), list(MOODS)
    g = things.groups
    titles, abouts = [], []
    for number, group in zip(things.number, things.group, strict=True):
        language, domain = LANGUAGES[g.language[group]], DOMAINS[g.domain[group]]
        a, b, c, d = rng.permutation(THEMES[themes[g.theme[group]]][language])[:4]
        if rng.random() < STRAY:
            c = rng.choice(THEMES[themes[rng.integers(len(themes))]][language])
        mood, other_mood = rng.permutation(MOODS[moods[g.mood[group]]][language])[:2]
        noun, name = rng.choice(NOUNS[domain][language]), rng.choice(NAMES[language])
        if language == "en":
            titles.append(f"{str(mood).capitalize()} {str(a).capitalize()} {noun}, {name} {number}")
        else:
            titles.append(f"{mood}{a}{noun}·{name}{number}号")
        abouts.append(ABOUT[domain][language].format(mood=other_mood, a=b, b=c, c=d))
    return titles, abouts
