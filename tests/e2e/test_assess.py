"""``zhiyin assess`` and the new options of ``zhiyin train``, as a person would use them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of events in which nobody has a taste."""
    draw = random.Random(0)
    rows = [
        f"u{u},i{draw.randrange(40)},2024-{draw.randrange(1, 7):02d}-{draw.randrange(1, 29):02d} {draw.randrange(24):02d}:00:00"
        for u in range(120)
        for _ in range(20)
    ]
    file = tmp_path_factory.mktemp("noise") / "orders.csv"
    file.write_text("user_id,item_id,time\n" + "\n".join(rows) + "\n")
    return file


def test_noise_is_not_worth_it(ask: Ask, noise: Path, tmp_path: Path) -> None:
    done = ask("assess", noise, "--out", tmp_path / "a.html", "--plots", tmp_path / "plots")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Not worth it here: the gain over")
    assert "Next:" not in done.stdout and "events.user" in done.stderr
    assert "Not worth it here" in (tmp_path / "a.html").read_text()
    assert {p.suffix for p in (tmp_path / "plots").iterdir()} == {".svg", ".png"}
    assert [p.name for p in noise.parent.iterdir()] == ["orders.csv"]  # no manifest, no quarantine
    told = json.loads(ask("assess", noise.parent, "--repeat", "never", "--out", tmp_path / "a.html", "--json").stdout)
    assert told["verdict"]["answer"] == "not worth it here" and told["facts"]["events"] == 2400


def test_a_described_folder(ask: Ask, shop: Path, tmp_path: Path) -> None:
    before = sorted(shop.iterdir())
    told = json.loads(ask("assess", shop, "--out", tmp_path / "a.html", "--json").stdout)
    assert told["facts"]["people"] == 40 and any(a["what"] == "text" and a["difference"] for a in told["additions"])
    assert sorted(shop.iterdir()) == before


def test_what_comes_next_can_be_typed(ask: Ask, shop: Path, tmp_path: Path) -> None:
    """A table alone cannot be trained on, and its name may have a blank in it."""
    table = tmp_path / "my orders.csv"
    table.write_text((shop / "orders.csv").read_text())
    assert f"Next: zhiyin start '{table}'" in ask("assess", table, "--out", tmp_path / "a.html").stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("assess {here}/none.csv", "the data folder '{here}/none.csv' does not exist (E210)"),
        ("assess {here}", "holds no tables (E210)"),
        ("assess {here}/page.csv", "1 row is too few to guess by (page.csv) (E200)."),
        ("assess {shop} --out a.pdf", "a page cannot be saved as 'a.pdf' (E300)"),
        ("assess {shop} --split sometime", "no split is named 'sometime' (E310)"),
        ("assess {shop} --worth 2000", "'--worth'"),
        ("train {shop} --search often", "--search often is no budget (E300). Say a number of trials (30), CPU minutes (20m), or both"),
        ("train {shop} --search 3", "Give 18 at least, or CPU minutes."),
        ("train {shop} --tracker tensorbord", "no tracker is named 'tensorbord' (E310). Did you mean 'tensorboard'?"),
        ("train {shop} --tracker wandb", '--tracker wandb needs wandb, which is not installed (E500). pip install "zhiyin[wandb]"'),
    ],
)
def test_mistakes(ask: Ask, shop: Path, tmp_path: Path, line: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    if "page.csv" in line:
        (tmp_path / "page.csv").write_text("one,two\n1,2\n")
    done = ask(*(part.format(here=tmp_path, shop=shop) for part in line.split(" ")))
    assert done.exit_code == 2, done.output
    assert words.format(here=tmp_path, shop=shop) in done.stderr


def test_search_and_curves(ask: Ask, shop: Path, tmp_path: Path) -> None:
    out, work = tmp_path / "m", tmp_path / "m.training"
    done = ask("train", shop, "--model", "ease", "--search", "6", "--tracker", "tensorboard", "--out", out)
    assert done.exit_code == 0, done.output
    assert (
        "search: 6 trials" in done.stdout
        and "the test was not looked at" in done.stdout
        and f"settings: {work / 'best.toml'}" in done.stdout
    )
    assert (work / "trials.csv").read_text().count("\n") == 7
    assert list((work / "tensorboard").glob("events.out.tfevents.*"))
    again = json.loads(ask("train", shop, "--model", "ease", "--search", "6", "--out", out, "--json").stdout)["search"]
    assert again["trials"] == 6 and again["best"]["kind"] == "ease"  # from the journal: nothing is tried twice
    assert ask("placements", out, "--fit").exit_code == 0  # replaces the model's folder, not what was found
    assert ask("train", shop, "--model", work / "best.toml", "--out", tmp_path / "n").exit_code == 0
    assert ask("recommend", out, "--user", "user3").exit_code == 0


def test_help_has_an_example(ask: Ask) -> None:
    assert "zhiyin assess orders.csv" in ask("assess", "--help").output.split("Example:")[1]
