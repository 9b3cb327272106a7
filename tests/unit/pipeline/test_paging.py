"""Pages that do not repeat each other, through model swaps, restarts and hostile tokens."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.paging import MOST_SHOWN, Cursor
from zhiyin.testing.small import small_world

QUESTION = {"user": "u1", "placement": "home", "filter": "价格 < 3"}


@given(st.lists(st.text(max_size=12), unique=True, max_size=40), st.integers(-(2**61), 2**61), st.integers(0, 2**31))
def test_a_token_brings_back_what_it_was_made_of(ids: list[str], now_us: int, seed: int) -> None:
    cursor = Cursor.begin(QUESTION, now_us, seed).after(ids)
    token = cursor.token()
    assert Cursor.read(token, dict(reversed(QUESTION.items()))) == cursor and cursor.start == len(ids)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


def test_pages_of_one_list_are_the_list_even_when_the_model_changes() -> None:
    world = small_world()
    models = [spec_of(kind).fit(world, Run(report=silent)) for kind in ("popular", "transitions", "ease")]
    requests = Requests.of(world.history(np.array([3])), np.array([3]), 1, n=4, exclude=Ragged.of([[0, 1]]))
    whole = models[0].retrieve(requests, 100)
    token, pages = "", []
    for _ in range(20):
        cursor = Cursor.read(token, QUESTION) if token else Cursor.begin(QUESTION, 7, 5)
        page = models[0].retrieve(cursor.excluding(requests, world.catalog), 4)
        if not len(page.item_ix):
            break
        pages.append(page.item_ix.tolist())
        token = cursor.after(world.catalog.items.names(page.item_ix)).token()
    assert [item for page in pages for item in page] == whole.item_ix.tolist()
    cursor, seen = Cursor.begin(QUESTION, 7, 5), list[int]()
    for i in range(6):
        asked = cursor.excluding(requests, world.catalog)
        assert asked.seed == 5
        items = models[i % 3].retrieve(asked, 4).item_ix
        seen += items.tolist()
        cursor = cursor.after(world.catalog.items.names(items))
    assert len(seen) == len(set(seen)) == cursor.start and not {0, 1} & set(seen)


def test_ids_that_are_gone_are_no_mistake() -> None:
    world = small_world()
    cursor = Cursor.begin(QUESTION, 7).after(["i3", "no longer there"])
    asked = cursor.excluding(Requests.of(Histories.empty(2)), world.catalog)
    assert asked.exclude is not None and [asked.exclude[i].tolist() for i in (0, 1)] == [[3], [3]]


def test_a_list_ends() -> None:
    cursor = Cursor.begin(QUESTION, 7).after([f"i{i}" for i in range(MOST_SHOWN - 1)])
    assert not cursor.ended and cursor.after(["i1", "x", "y"]).ended and cursor.after(["i1", "x", "y"]).start == MOST_SHOWN
    assert len(cursor.token()) < 8_000


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "知音",
        "!" * 40,
        Cursor.begin(QUESTION, 7).after(["i1", "i2"]).token()[:-8],
        packed([]),
        packed(["q", 1, 2]),
        packed(["q", "x", 0, []]),
        packed({"a": 1}),
        packed([1, 2, 3, 4]),
        packed([Cursor.begin(QUESTION, 7).question, 2**70, 0, []]),
        packed([Cursor.begin(QUESTION, 7).question, 7, 0, [str(i) for i in range(MOST_SHOWN + 1)]]),
        packed(["q", 7, 0, ["x" * 1_000_000]]),
        base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000)).decode(),
    ],
)  # fmt: skip
def test_a_damaged_token_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match=r"the cursor is damaged.*first page"):
        Cursor.read(token, QUESTION)


def test_a_token_of_another_question_is_refused() -> None:
    with pytest.raises(ConfigError, match="the cursor belongs to another question"):
        Cursor.read(Cursor.begin(QUESTION, 7).token(), {**QUESTION, "user": "u2"})
