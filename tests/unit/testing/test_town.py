"""The simulated town: equal seeds, exact probabilities, planted causes that can be found and destroyed."""

from __future__ import annotations

from itertools import chain

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError, DataError, UnknownNameError
from zhiyin.data.build import build
from zhiyin.data.cut import cut_times
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.protocol import evaluate
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Retriever
from zhiyin.spacetime.calendar import hour_of_day
from zhiyin.testing.town import Causes, Town, next_events, town
from zhiyin.testing.town.layout import START_US, TIME_ZONE, US_PER_WEEK
from zhiyin.testing.town.words import MOODS, THEMES

CAUSES = ("taste", "time", "place", "habit", "popularity")


@pytest.fixture(scope="module")
def place() -> Town:
    return town(seed=3)


@pytest.fixture(scope="module")
def whole(place: Town) -> Dataset:
    return build(place.tables())


@pytest.fixture(scope="module")
def asked(whole: Dataset) -> Holdout:
    return next_events(whole, cut_times(whole, 0.1, 0.1)[1])


def ndcg(model: Retriever, asked: Holdout) -> float:
    return evaluate(model, asked, ["ndcg@10"]).mean("ndcg@10")


def test_equal_arguments_give_an_equal_town(place: Town) -> None:
    again, other = town(seed=3).tables(), town(seed=4).tables()
    first = place.tables()
    assert first.items is not None and first.users is not None
    assert first.events.equals(again.events) and first.items.equals(again.items) and first.users.equals(again.users)
    assert not first.events["item_id"].equals(other.events["item_id"])


def test_it_has_the_size_that_was_asked_for(whole: Dataset) -> None:
    assert (whole.n_users, whole.n_items, len(whole.events)) == (200, 566, 20_000)
    assert np.bincount(whole.events.user_ix).min() >= 1
    assert set(whole.kinds) == {"buy", "watch", "read", "enrol"}
    since = whole.events.time_us - START_US
    assert since.min() >= 0 and since.max() < 12 * US_PER_WEEK


def test_nothing_is_chosen_before_it_is_published(whole: Dataset) -> None:
    published = whole.catalog.table["published"].cast(pl.Int64).to_numpy()
    assert (whole.events.time_us >= published[whole.events.item_ix]).all()
    assert 0.2 < (published >= START_US).mean() < 0.4


def test_probabilities_are_those_of_the_choices(place: Town) -> None:
    # Over all events the predicted probability mass of each domain must equal what happened.
    rows = np.random.default_rng(0).choice(len(place.user), 4_000, replace=False)
    first = np.r_[True, np.diff(place.user) > 0]
    last = np.where(first, -1, np.roll(place.thing, 1))[rows]
    p = place.truth.probabilities(place.user[rows], place.time_us[rows], last, place.square[rows])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)
    domain = place.things.groups.domain[place.things.group]
    expected = np.array([p[:, domain == d].sum() for d in range(4)])
    happened = np.bincount(domain[place.thing[rows]], minlength=4)
    assert (np.abs(happened - expected) < 4 * np.sqrt(expected)).all()
    # The mean log-likelihood of the choices equals the mean negative entropy when the probabilities are exact.
    entropy = (p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    likelihood = np.log(p[np.arange(len(rows)), place.thing[rows]])
    assert abs(likelihood.mean() - entropy.mean()) < 4 * (likelihood - entropy).std() / np.sqrt(len(rows))


def test_averaging_any_cause_away_makes_the_choices_less_likely(place: Town) -> None:
    rows = np.random.default_rng(1).choice(np.flatnonzero(np.r_[False, np.diff(place.user) == 0]), 3_000, replace=False)

    def likelihood(without: tuple[str, ...]) -> float:
        truth = place.truth.without(without)
        p = truth.probabilities(place.user[rows], place.time_us[rows], place.thing[rows - 1], place.square[rows])
        return float(np.log(p[np.arange(len(rows)), place.thing[rows]]).mean())

    full = likelihood(())
    for cause in CAUSES:
        assert likelihood((cause,)) < full - 0.05, cause


@pytest.mark.parametrize("cause", ["taste", "time", "place", "habit"])
def test_an_oracle_that_does_not_know_a_cause_ranks_worse(place: Town, whole: Dataset, asked: Holdout, cause: str) -> None:
    assert ndcg(place.oracle(whole, (cause,)), asked) < 0.9 * ndcg(place.oracle(whole), asked)


def test_the_oracle_visibly_beats_what_sees_no_causes(place: Town, whole: Dataset, asked: Holdout) -> None:
    ceiling = ndcg(place.oracle(whole), asked)
    past = whole.before(cut_times(whole, 0.1, 0.1)[1])
    reached = {name: ndcg(spec_of(name).fit(past, Run()), asked) for name in ("popular", "item-neighbours", "ease", "transitions")}
    assert max(reached.values()) < 0.5 * ceiling
    assert reached["popular"] < reached["ease"]


def hours_tell_domains(shown: Town) -> float:
    """Mutual information (bits) of hour of day and domain, less what chance gives."""
    hour = hour_of_day(shown.time_us, TIME_ZONE)
    domain = shown.things.groups.domain[shown.things.group[shown.thing]]
    table = np.zeros((24, 4))
    np.add.at(table, (hour, domain), 1)
    p = table / table.sum()
    expected = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    information = float((p[p > 0] * np.log2(p[p > 0] / expected[p > 0])).sum())
    return information - 23 * 3 / (2 * len(hour) * np.log(2))


def test_shuffling_times_destroys_the_routine_and_nothing_else(place: Town) -> None:
    shuffled = place.with_shuffled_times(seed=1)
    assert hours_tell_domains(place) > 0.05
    assert abs(hours_tell_domains(shuffled)) < 0.005
    for user in (0, 57):
        assert sorted(place.thing[place.user == user]) == sorted(shuffled.thing[shuffled.user == user])
    assert len(build(shuffled.tables()).events) == len(place.user)


def test_texts_tell_theme_and_mood_in_both_languages(place: Town) -> None:
    items = place.tables().items
    assert items is not None
    assert set(items["language"]) == {"en", "zh"}
    assert items["title"].n_unique() == items.height
    inner = np.argsort(place.things.number)
    groups, themes, moods = place.things.groups, list(THEMES), list(MOODS)
    for at, (title, about, language) in zip(inner, items.select("title", "description", "language").iter_rows(), strict=True):
        text, group = f"{title} {about}".lower(), place.things.group[at]
        assert (language == "zh") == any("\u4e00" <= c <= "\u9fff" for c in text)
        assert sum(word in text for word in THEMES[themes[groups.theme[group]]][language]) >= 3
        assert sum(word in text for word in MOODS[moods[groups.mood[group]]][language]) >= 2


def test_words_belong_to_one_theme_or_mood_each() -> None:
    for language in ("en", "zh"):
        words = list(chain.from_iterable(v[language] for v in (*THEMES.values(), *MOODS.values())))
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_town_of_one_language(language: str) -> None:
    tables = town(50, 500, language=language, seed=1).tables()  # type: ignore[arg-type]
    assert tables.items is not None and tables.users is not None
    assert set(tables.items["language"]) == {language}
    assert tables.users["about"].str.contains(r"\p{Han}").all() == (language == "zh")


def test_people_are_near_what_they_choose(place: Town) -> None:
    km = place.truth.factors.distance
    placed = place.things.square[place.thing] >= 0
    there = km[place.square[placed], place.thing[placed]].mean()
    anywhere = km[np.random.default_rng(0).permutation(place.square[placed]), place.thing[placed]].mean()
    assert there > 2 * anywhere


def test_true_scores_are_in_public_order_and_see_only_the_past(place: Town, whole: Dataset) -> None:
    user, at = 7, 40
    mine = np.flatnonzero(place.user == user)
    now = int(place.time_us[mine[at]])
    score = place.true_scores(user, now)
    assert score.shape == (566,) and abs(score.sum() - 1) < 1e-4
    published = whole.catalog.table["published"].cast(pl.Int64).to_numpy()
    assert (score[published > now] == 0).all() and (score[published <= now] > 0).all()
    without = place.true_scores(user, now, without=("habit",))
    assert not np.allclose(score, without)
    # One microsecond later the event at ``now`` is the past, and habit has moved on.
    assert not np.allclose(score, place.true_scores(user, now + 1))
    np.testing.assert_allclose(without, place.true_scores(user, now + 1, without=("habit",)), rtol=1e-6)


def test_next_events_are_asked_at_their_moment(whole: Dataset, asked: Holdout) -> None:
    r = asked.requests
    assert (asked.truth.items.lengths == 1).all()
    ends = np.repeat(r.now_us, r.history.lengths)
    assert (r.history.time_us < ends).all()
    few = next_events(whole, int(r.now_us[0]), at_most=50, seed=2)
    assert len(few) == 50 and (np.diff(few.requests.now_us) >= 0).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: town(5), r"'n_users' in the town: .*greater than or equal to 10, not 5"),
        (lambda: town(200, 150), r"n_events = 150 is fewer than one for each of 200 people"),
        (lambda: town(200, -1), r"'n_events' in the town: .*greater than or equal to 100, not -1"),
        (lambda: town(200, n_items=3), r"'n_items' in the town: .*not 3"),
        (lambda: town(language="fr"), r"'language' in the town: .*'mixed', 'en' or 'zh', not 'fr'"),  # type: ignore[arg-type]
        (lambda: town(weeks=1), r"'weeks' in the town"),
        (lambda: town(seed=-1), r"'seed' in the town"),
        (lambda: Causes.parse({"tast": 1}), r"unknown key 'tast' .*Did you mean 'taste'\?"),
        (lambda: Causes.parse({"noise": 2}), r"'noise': .*less than or equal to 1, not 2"),
    ],
)
def test_wrong_arguments_are_one_sentence(call: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call()  # type: ignore[operator]


def test_wrong_questions_are_one_sentence(place: Town, whole: Dataset, asked: Holdout) -> None:
    with pytest.raises(UnknownNameError, match=r"no cause of choice is named 'tast' .*Did you mean 'taste'\?"):
        place.oracle(whole, ("tast",))
    with pytest.raises(ConfigError, match=r"person 200 does not live in a town of 200 .*Give 0 \.\. 199"):
        place.true_scores(200, START_US)
    with pytest.raises(ConfigError, match=r"lies outside the town's 12 weeks"):
        place.true_scores(0, 0)
    with pytest.raises(DataError, match=r"item 'i560' is not of this town"):
        town(200, n_items=560, seed=3).oracle(whole)
    stranger = asked.take(np.array([0]))
    stranger.requests.user_ix[0] = -1
    with pytest.raises(DataError, match=r"a person who does not live in the town"):
        place.oracle(whole).retrieve(stranger.requests, 10)
    with pytest.raises(DataError, match=r"no event lies at or after"):
        next_events(whole, START_US + 20 * US_PER_WEEK)
    with pytest.raises(ConfigError, match=r"at_most = 0 asks for no request"):
        next_events(whole, START_US, at_most=0)
