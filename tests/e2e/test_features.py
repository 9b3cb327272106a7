"""``zhiyin features``: for data, for a saved model, and for what it cannot judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from zhiyin.pipeline.recommender import Recommender

Ask = Callable[..., Result]
TWO = """kind = "two-stage"
n_candidates = 20
folds = 2
[first]
kind = "zhiyin"
parts = [{ kind = "popular" }, { kind = "ease" }]
[ranker]
kind = "linear"
"""


def test_of_data(ask: Ask, shop: Path, tmp_path: Path) -> None:
    before = sorted(shop.iterdir())
    done = ask("features", shop, "--out", tmp_path / "f.html", "--plots", tmp_path / "plots", "--requests", 30)
    assert done.exit_code == 0, done.output
    assert "behaviour" in done.stdout and "Stability" in done.stdout and "score.first" in done.stdout
    assert "The four families" in (tmp_path / "f.html").read_text()
    assert {p.suffix for p in (tmp_path / "plots").iterdir()} == {".svg", ".png"}
    assert sorted(shop.iterdir()) == before


def test_of_a_saved_model(ask: Ask, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    done = ask("train", shop, "--model", tmp_path / "two.toml", "--out", tmp_path / "two")
    assert done.exit_code == 0, done.output
    done = ask("features", tmp_path / "two", "--out", tmp_path / "f.html", "--json", "--requests", 30)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["ranker"] == "linear" and told["n_candidates"] == 20
    assert {c["family"] for c in told["columns"]} >= {"behaviour", "interest", "context"}
    assert Path(told["report"]).is_file()
    assert Recommender.load(tmp_path / "two").model.spec.kind == "two-stage"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("features {model}", "is 'ease', which reads no features (E300). Train one with --model two-stage, or give the data"),
        ("features nowhere", "there is neither a folder nor a known data set 'nowhere'"),
        ("features {here}", "has no zhiyin.toml (E210). Make one: zhiyin init"),
        (
            "features {shop}/orders.csv",
            "orders.csv' is a file, not a folder with zhiyin.toml (E210). Put it into a folder of its own, then:",
        ),
        ("features {shop} --split sometime", "no split is named 'sometime' (E310)"),
        ("features {shop} --requests 3", "'--requests'"),
        ("features {shop} --out f.pdf", "a page cannot be saved as 'f.pdf' (E300)"),
    ],
)
def test_mistakes(ask: Ask, shop: Path, model: Path, tmp_path: Path, line: str, words: str) -> None:
    done = ask(*line.format(shop=shop, model=model, here=tmp_path).split(), env={"COLUMNS": "300"})
    assert done.exit_code == 2 and words in done.output
    assert "Traceback" not in done.output


def test_help_has_an_example(ask: Ask) -> None:
    assert "zhiyin features" in ask("features", "--help").output.split("Example:")[1]
