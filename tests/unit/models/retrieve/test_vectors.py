"""Vectors of one's own: read, asked, moved by history, grown, taken away and back, saved with their cells."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Float32, Ragged
from zhiyin.base.errors import ConfigError, DataError, FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.catalog import Vectors as Given
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.vocab import Vocabulary
from zhiyin.index import choose
from zhiyin.index.ann import AnnIndex
from zhiyin.index.scan import ScanIndex
from zhiyin.models.retrieve.vectors import Vectors, VectorsSpec, mean_of
from zhiyin.models.retrieve.vectors_files import read_vectors
from zhiyin.models.roles import State
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.testing.contracts import CHECKS, Case, small_world

DIM = 6


def shop(n: int, text: Float32 | None = None) -> Catalog:
    ids = [f"i{i}" for i in range(n)]
    catalog = Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids}))
    return catalog if text is None else catalog.with_vectors("text", Given(text, "small"))


def rows(n: int, seed: int, dim: int = DIM) -> Float32:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def of_user(user: int, items: list[int], **more: object) -> Requests:
    return Requests.of(Histories.of_items(Ragged.of([items])), np.array([user]), 0, **more)


@cache
def written() -> Path:
    """Vectors for all but two items and three people of the small world."""
    folder, data = Path(mkdtemp()), small_world()
    items, users = rows(data.n_items, 1), rows(data.n_users, 2)
    frames = {"items": ("item_id", data.catalog.items, items), "users": ("user_id", data.users, users)}
    for name, (key, ids, matrix) in frames.items():
        keep = np.arange(len(ids))[::-1][3:]  # in another order than the data
        frame = pl.DataFrame({key: [*ids.names(keep), "nobody"], "vector": [*matrix[keep].tolist(), [0.5] * DIM]})
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def spec() -> VectorsSpec:
    return VectorsSpec(items=str(written() / "items.parquet"), users=str(written() / "users.parquet"))


@cache
def case(order: str) -> Case:
    return Case(spec(), small_world(order), Path(mkdtemp()))  # type: ignore[arg-type]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("order", ["time", "none"])
def test_contract_with_files(order: str, check: str) -> None:
    CHECKS[check](case(order))


def test_a_person_gets_the_items_of_the_highest_product() -> None:
    data = small_world()
    model = spec().fit(data, Run())
    found = model.retrieve(of_user(3, [0]), 5)
    scores = rows(data.n_items, 1)[:-3] @ rows(data.n_users, 2)[3]
    assert found.item_ix.tolist() == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(found.score, np.sort(scores)[::-1][:5], rtol=1e-5)


def test_somebody_without_a_vector_is_the_mean_of_what_he_had() -> None:
    items = rows(10, 0)
    model = Vectors.of(shop(10), items, rows(2, 1), spec=VectorsSpec(history_decay=0.5))
    asked = Requests.of(Histories.of_items(Ragged.of([[1, 2, 3], [], [4]])), np.array([-1, -1, 7]), 0)
    wanted = (items[3] + items[2] / 2 + items[1] / 4) / 1.75
    np.testing.assert_allclose(model.questions(asked), [wanted, np.zeros(DIM), items[4]], rtol=1e-5, atol=1e-6)
    assert model.retrieve(asked, 3).lengths.tolist() == [3, 0, 3]
    disliked = replace(asked.history, weight=np.array([1, 1, 0, 1], np.float32))
    np.testing.assert_allclose(mean_of(disliked, items, 0.5)[0], (items[2] + items[1] / 2) / 1.5, rtol=1e-5)


def test_what_somebody_did_since_moves_him_and_nothing_older() -> None:
    items, users = rows(10, 0), rows(2, 1)

    def asked(share: float, history: list[int], since_us: int | None = 2) -> np.ndarray:
        model = Vectors.of(shop(10), items, users, spec=VectorsSpec(history_share=share), since_us=since_us)
        past = replace(Histories.of_items(Ragged.of([history])), time_us=np.arange(len(history), dtype=np.int64))
        return np.asarray(model.questions(Requests.of(past, np.array([1]), 9))[0])

    unmoved = (asked(0.0, [4, 5, 6]), asked(0.5, [4, 5]), asked(0.5, []), asked(0.5, [4, 5, 6], None))
    for still in unmoved:
        np.testing.assert_array_equal(still, users[1])
    length = np.linalg.norm(users[1])
    np.testing.assert_allclose(asked(0.5, [4, 5, 6]), users[1] / 2 + items[6] / np.linalg.norm(items[6]) * length / 2, rtol=1e-5)
    two = (items[7] + 0.9 * items[6]) / 1.9
    np.testing.assert_allclose(asked(0.3, [4, 5, 6, 7]), 0.7 * users[1] + 0.3 * two / np.linalg.norm(two) * length, rtol=1e-5)


def test_fitted_vectors_are_moved_by_what_comes_after_the_fit_by_default() -> None:
    data = small_world()
    model = spec().fit(data, Run())
    assert model.since_us == int(data.events.time_us.max()) + 1
    user = np.array([3, 3, 99])
    before = model.questions(Requests.of(data.history(user[:2]), user[:2], model.since_us))
    np.testing.assert_array_equal(before, model.users[[3, 3]])
    past = Histories.of_items(Ragged.of([[1], [1], [1]]))
    after = replace(past, time_us=np.array([model.since_us, model.since_us - 1, model.since_us]))
    moved = model.questions(Requests.of(after, user, model.since_us + 1))
    assert moved[0] @ model.items[1] > moved[1] @ model.items[1]
    np.testing.assert_array_equal(moved[1:], [model.users[3], model.items[1]])
    again = model.spec.restore(model.state(), data.catalog)
    np.testing.assert_allclose(again.questions(Requests.of(after, user, model.since_us + 1)), moved, rtol=1e-5)


def test_new_items_wait_for_a_vector_or_get_one_from_their_text() -> None:
    text, bridge = rows(60, 0, 5), rows(5, 1)
    items = text @ bridge
    plain = Vectors.of(shop(40), items[:40])
    grown = plain.with_catalog(shop(60))
    assert grown.retrieve(of_user(-1, [3]), 60).item_ix.max() < 40
    told = Vectors.of(shop(40, text[:40]), items[:40]).with_catalog(shop(60, text))
    np.testing.assert_allclose(told.items[40:], items[40:], rtol=0.1, atol=0.1)
    assert set(told.retrieve(of_user(-1, [3]), 60).item_ix.tolist()) == set(range(60))
    with pytest.raises(ConfigError, match="text vectors were made by 'other', this model knows those of 'small'"):
        told.with_catalog(replace(shop(61, rows(61, 0, 5)), vectors={"text": Given(rows(61, 0, 5), "other")}))
    gap = items[:40].copy()
    gap[7] = 0.0
    filled = Vectors.of(shop(40, text[:40]), gap)
    np.testing.assert_allclose(filled.items[7], items[7], rtol=0.1, atol=0.1)


def test_items_go_and_come_back() -> None:
    model = Vectors.of(shop(3_000), rows(3_000, 0))
    assert isinstance(model.everything, ScanIndex)
    request = of_user(-1, [5])
    best = model.retrieve(request, 4).item_ix
    off = np.ones(3_000, np.bool_)
    off[best[:2]] = False
    shut = model.with_catalog(replace(model.catalog, available=off))
    assert shut.retrieve(request, 2).item_ix.tolist() == best[2:].tolist()
    assert shut.with_catalog(shop(3_000)).retrieve(request, 4).item_ix.tolist() == best.tolist()


def test_cells_are_saved_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "MANY", 5_000)
    rng, centres = np.random.default_rng(0), np.random.default_rng(0).standard_normal((100, 24))
    items, users = ((centres[rng.integers(0, 100, n)] + 0.08 * rng.standard_normal((n, 24))).astype(np.float32) for n in (8_000, 500))
    model = Vectors.of(shop(8_000), items, users)
    assert isinstance(model.everything, AnnIndex)
    write_bundle(tmp_path / "model", Bundle({"state": dict(model.state().meta)}, model.state().arrays))
    back = read_bundle(tmp_path / "model")
    again = VectorsSpec().restore(State(back.arrays, back.meta["state"]), shop(8_000))
    assert isinstance(again.everything, AnnIndex)
    assert np.shares_memory(again.items, back.arrays["items"]), "mapped from the file, not copied"
    request = Requests.of(Histories.empty(500), np.arange(500), 0)
    np.testing.assert_array_equal(model.retrieve(request, 10).item_ix, again.retrieve(request, 10).item_ix)


def test_files_of_vectors(tmp_path: Path) -> None:
    ids = Vocabulary(["7", "8", "9"])
    (tmp_path / "wide.csv").write_text("item,a,b\n9,1,2\n7,3,4.5\n")
    np.testing.assert_array_equal(read_vectors(tmp_path / "wide.csv", ids, "item_id"), [[3, 4.5], [0, 0], [1, 2]])
    pl.DataFrame({"id": [8], "emb": [[1.0, 2.0]]}).write_parquet(tmp_path / "v.parquet")
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.parquet", ids, "item_id"), [[0, 0], [1, 2], [0, 0]])


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ({"id": ["7", "8"], "vector": [[1.0, 2.0], [1.0]]}, "v.parquet: row 2 of 'vector' has 1 numbers, row 1 has 2 (E200)."),
        ({"id": ["7"], "vector": [[1.0, float("nan")]]}, "v.parquet has a vector that is not finite in row 1 (1 such rows) (E200)."),
        ({"id": ["7", "7"], "vector": [[1.0], [2.0]]}, "v.parquet: '7' stands twice in column 'id' (E200). Keep one row per id."),
        ({"id": ["x"], "vector": [[1.0]]}, "v.parquet: column 'id' has no id that the data has (E200). The file says 'x', the data '7'."),
        ({"id": ["7"], "name": ["y"]}, "v.parquet has no column of vectors (E200). Name the column of lists 'vector'"),
        ({"id": ["7", None], "vector": [[1.0], [2.0]]}, "v.parquet: an id is missing in column 'id' (E200)."),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_says_where(tmp_path: Path, frame: dict[str, list[object]], sentence: str) -> None:
    pl.DataFrame(frame).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(DataError) as caught:
        read_vectors(tmp_path / "v.parquet", Vocabulary(["7", "8"]), "item_id")
    assert str(caught.value).startswith(sentence)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vectors of shape \(9, 6\) and \(0, 6\) do not fit 10 items"):
        Vectors.of(shop(10), rows(9, 0))
    with pytest.raises(ConfigError, match="do not fit 10 items and each other"):
        Vectors.of(shop(10), rows(10, 0), rows(4, 0, 5))
    with pytest.raises(FitError, match="vectors of users are given and none of items"):
        VectorsSpec(users="users.parquet").fit(small_world(), Run())
    world = small_world()
    with pytest.raises(FitError, match="there are no vectors of items"):
        VectorsSpec().fit(world.with_catalog(replace(world.catalog, vectors={})), Run())
