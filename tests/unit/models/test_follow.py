"""People to follow: near by links, alike by taste, known to many; nobody hidden, nobody twice."""

from __future__ import annotations

import numpy as np
import pytest

from zhiyin.base.arrays import Ragged
from zhiyin.models.follow import FollowSpec, Links, Nearest, Tastes, nearest_people

NONE = np.zeros(0, np.int64)
SPEC = FollowSpec()


def links_of(*pairs: tuple[int, int]) -> Links:
    links = Links()
    for head, tail in pairs:
        links.add(head, tail)
    return links


def tastes_of(*liked: list[int], n_items: int = 10) -> Tastes:
    counts = np.bincount(np.concatenate([np.unique(one) for one in liked if one] or [NONE]), minlength=n_items)
    tastes = Tastes(counts, len(liked))
    tastes.add(range(len(liked)), Ragged.of(liked))
    return tastes


def found(links: Links, tastes: Tastes, person: int, liked: list[int] = [], **more: object) -> Nearest:  # noqa: B006
    return nearest_people(links, tastes, person, np.array(liked, np.int64), SPEC, **more)


def brute_walk(pairs: set[tuple[int, int]], n: int, person: int, spec: FollowSpec) -> np.ndarray:
    """The same walk with whole matrices."""
    both = np.zeros((n, n))
    for head, tail in pairs:
        both[head, tail] = both[tail, head] = 1.0
    step = both / np.maximum(both.sum(axis=1, keepdims=True), 1)
    mass, total = np.eye(n)[person], np.zeros(n)
    for k in range(spec.steps):
        mass = mass @ step
        total += mass * spec.damping**k
    return total


@pytest.mark.parametrize("seed", range(5))
def test_the_walk_is_that_of_whole_matrices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    pairs = {(int(a), int(b)) for a, b in rng.integers(0, n, (60, 2)) if a != b}
    people, amount = links_of(*sorted(pairs)).walk(3, SPEC)
    dense = np.zeros(n)
    dense[people] = amount
    np.testing.assert_allclose(dense, brute_walk(pairs, n, 3, SPEC), atol=1e-12)


def test_a_friend_of_two_friends_comes_before_a_friend_of_one() -> None:
    links = links_of((0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (5, 6))
    best = found(links, tastes_of(*[[]] * 7), 0, gone=np.array([1, 2]))
    assert best.people[:2].tolist() == [3, 4]
    assert set(best.people.tolist()) == {3, 4, 5, 6}  # those known to anybody follow
    assert best.near[2:].tolist() == [0.0, 0.0]


def test_taste_is_the_cosine_of_sets_and_rare_items_count_more() -> None:
    tastes = tastes_of([0, 1], [0, 2], [1, 3], [0, 4], [0, 5], n_items=10)
    people, cosine = tastes.alike(np.array([0, 1]))
    worth = np.log(6 / (1 + np.array([4, 2, 1, 1, 1, 1, 0, 0, 0, 0]))) ** 2
    exact = [
        sum(worth[i] for i in {0, 1} & set(own)) / np.sqrt(worth[[0, 1]].sum() * worth[own].sum())
        for own in ([0, 1], [0, 2], [1, 3], [0, 4], [0, 5])
    ]
    assert people.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(cosine, exact, atol=1e-12)
    assert cosine[2] > cosine[1]  # item 1 is rarer than item 0


def test_without_links_those_alike_come_first_and_only_linked_people_are_shown() -> None:
    links = links_of((1, 2), (3, 1))
    best = found(links, tastes_of([], [7, 8], [1, 2], [3], [7, 8]), -1, [7, 8])
    assert best.people.tolist()[0] == 1
    assert 4 not in best.people  # alike, but linked to nobody: did not ask to be found


def test_hidden_people_are_neither_shown_nor_passed() -> None:
    links = links_of((0, 1), (1, 2), (2, 3))
    best = found(links, tastes_of(*[[]] * 4), 0, hidden={1}, gone=np.array([0]))
    assert set(best.people.tolist()) == {2, 3}
    assert not best.near.any()  # the only way led over somebody hidden


def test_a_link_said_twice_ends_with_the_last() -> None:
    links = links_of((0, 1), (0, 1))
    links.remove(0, 1)
    assert links.of(0).tolist() == [1] and links.n_to(1) == 1
    links.remove(0, 1)
    links.remove(0, 1)
    assert not len(links.of(0)) and not links.linked(np.array([0, 1, 99])).any()


def test_the_best_known_are_those_most_are_linked_to() -> None:
    links = links_of(*((i, 100) for i in range(50)), *((i, 101) for i in range(20)), (100, 7))
    assert links.best_known(3).tolist() == [100, 101, 7]
    assert len(links.best_known(1_000)) == 52
    assert links.known(np.array([100, 500])).tolist() == [np.log(51), 0.0]
