"""Vectors in the catalogue: filled once, kept, extended, restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.text.cache import VectorCache
from zhiyin.text.catalogue import fit_catalogue
from zhiyin.text.vectors import Reader, reader_for, with_text_vectors


def shop(names: list[str | None], columns: dict[str, Any] | None = None) -> Dataset:
    manifest = Manifest(name="shop", order="none", events=EventsTable(), items=ItemsTable(title="name", columns=columns or {}))
    catalog = Catalog(Vocabulary([f"i{i}" for i in range(len(names))]), pl.DataFrame({"name": names}, schema={"name": pl.String}), "name")
    return Dataset(manifest, Vocabulary(["u"]), catalog, Events.of(np.zeros(1), np.zeros(1), np.zeros(1)))


def test_unit_rows_and_zero_rows_with_a_fingerprint(tmp_path: Path) -> None:
    rows: list[Any] = []
    data = shop(["red woollen scarf", None, "blue cotton shirt"])
    vectors = with_text_vectors(data, cache=VectorCache(tmp_path / "v"), report=rows.append).catalog.vectors["text"]
    assert vectors.present.tolist() == [True, False, True] and vectors.dim == 384
    np.testing.assert_allclose(np.linalg.norm(vectors.matrix, axis=1), [1, 0, 1], atol=1e-6)
    assert rows[0]["note"].startswith("minilm as int8 ONNX") and rows[-1] == {"stage": "text", "step": 2, "of": 2}
    assert vectors.fingerprint == reader_for(data).fingerprint


def test_appended_items_are_read_alone(tmp_path: Path) -> None:
    data = shop(["red woollen scarf", "blue cotton shirt"])
    encoder = fit_catalogue(["red woollen scarf", "blue cotton shirt", "green scarf"])
    reader = Reader.of(encoder, reader_for(data, "catalogue").template)
    catalog = reader.fill(data.catalog)
    rows: list[Any] = []
    grown = reader.fill(catalog.with_rows(["n"], pl.DataFrame({"name": ["green scarf"]})), report=rows.append)
    assert rows == [{"stage": "text", "step": 1, "of": 1}]
    np.testing.assert_array_equal(grown.vectors["text"].matrix[:2], catalog.vectors["text"].matrix)
    assert grown.vectors["text"].matrix[2] @ reader.query("scarf") > 0.3
    other = Reader.of(fit_catalogue(["red woollen scarf", "blue"]), reader.template).fill(grown)
    assert other.vectors["text"].fingerprint != grown.vectors["text"].fingerprint


def test_a_reader_comes_back_from_its_description() -> None:
    reader = reader_for(shop(["红色羊毛围巾", "蓝色衬衫", "绿色围巾"]))
    assert reader.template.language == "zh" and "took over" in reader.reason
    back = Reader(reader.template, reader.state)
    assert back.fingerprint == reader.fingerprint
    np.testing.assert_array_equal(back.query("围巾"), reader.query("围巾"))
    assert not reader.query("  ").any()


def test_items_without_any_text() -> None:
    with pytest.raises(ConfigError, match="data set 'shop' has no text to read"):
        reader_for(shop([None, None]))
