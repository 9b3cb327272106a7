from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.data import vocab as module
from zhiyin.data.vocab import Numbers, Vocabulary

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), unique=True, max_size=40)


@pytest.fixture(params=[100_000, 3], ids=["table", "digests"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Ids from which digests are used: beyond what these tests have, or so few that they do."""
    monkeypatch.setattr(module, "_MANY", request.param)
    return int(request.param)


@settings(max_examples=60)
@given(ids=TEXTS, more=TEXTS, limit=st.sampled_from([100_000, 3]))
def test_a_saved_vocabulary_finds_what_it_found_and_grows_on(ids: list[str], more: list[str], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MANY", limit)
        before = Vocabulary(ids)
        arrays = before.arrays()
        assert ("digests" in arrays) == (len(ids) > limit)
        back = Vocabulary.restored(arrays)
        assert back.ids.equals(before.ids) and back.every() == ids
        assert [back.find(i) for i in ids] == list(range(len(ids))) and back.every() == ids
        assert all(back.find(i) == -1 for i in more if i not in ids)
        longer = back.extended(more)
        assert longer.every() == list(dict.fromkeys([*ids, *more])) == Vocabulary.restored(longer.arrays()).every()
        assert [longer.find(i) for i in longer.every()] == list(range(len(longer)))
        assert Vocabulary.restored(longer.arrays()).find(longer.every()[-1] if longer.every() else "x") == len(longer) - 1
        assert all(back.find(i) == -1 for i in more if i not in ids)  # the shorter one knows nothing of it
        for one in (back, longer):
            assert one.find_all([*more, *ids]) == [one.find(i) for i in [*more, *ids]]


def test_part_of_an_array_is_saved_alone(many: int) -> None:
    part = Vocabulary(pa.array([f"音{i}" for i in range(20)]).slice(5, 9))
    arrays = part.arrays()
    assert arrays["offsets"][0] == 0 and len(arrays["text"]) == arrays["offsets"][-1]
    assert Vocabulary.restored(arrays).every() == [f"音{i}" for i in range(5, 14)]


def test_ids_of_one_digest_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MANY", 3)
    monkeypatch.setattr(module, "_digest", lambda id_: len(id_).to_bytes(8, "little"))
    ids = ["a", "b", "c", "dd", "ee"]
    known = Vocabulary.restored(Vocabulary(ids).arrays())
    assert [known.find(i) for i in [*ids, "x", "xx", "xxx"]] == [0, 1, 2, 3, 4, -1, -1, -1]
    assert known.find_all([*ids, "x", "xx", "xxx"]) == [0, 1, 2, 3, 4, -1, -1, -1]


def test_restored_arrays_are_not_copied() -> None:
    arrays = Vocabulary(["a", "b"]).arrays()
    text = np.frombuffer(Vocabulary.restored(arrays).ids.buffers()[2], np.uint8)
    assert np.shares_memory(text, arrays["text"])


def test_numbers_are_a_mapping_of_the_ids() -> None:
    ids = Vocabulary(["a", "b", "c"])
    own, given_ = Numbers(ids), Numbers(Vocabulary.restored(ids.arrays(many=1)), np.array([7, 8, 9], np.int32))
    assert dict(own) == {"a": 0, "b": 1, "c": 2} and dict(given_) == {"a": 7, "b": 8, "c": 9}
    assert (own.get("x"), given_.get("b"), "a" in given_, "x" in own, len(own)) == (None, 8, True, False, 3)
    with pytest.raises(KeyError):
        own["x"]
