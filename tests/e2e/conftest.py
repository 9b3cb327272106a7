"""A small shop for the commands: a folder of CSV tables as anybody might have them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zhiyin.cli.app import app

Ask = Callable[..., Result]
COLOURS = ("red", "blue", "green", "white")
THINGS = ("shoe", "hat", "lamp", "cup", "pen", "sofa", "coat", "vase")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Text vectors of tests stay out of the person's cache; the encoder exported there is used."""
    os.environ["COLUMNS"] = "160"
    yield


def write_shop(folder: Path, n_users: int = 40, seed: int = 0) -> Path:
    """People who each like one colour; 12 events each, an hour apart."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    items = [(f"p{i}", f"{colour} {thing}", colour) for i, (colour, thing) in enumerate((c, t) for c in COLOURS for t in THINGS)]
    (folder / "products.csv").write_text("\n".join(["item_id,title,category", *(",".join(i) for i in items)]) + "\n")
    rows = []
    for u in range(n_users):
        own = [i for i, _, colour in items if colour == COLOURS[u % 4]]
        for step in range(12):
            item = draw.choice(own if draw.random() < 0.8 else [i for i, _, _ in items])
            hour, day = step % 24, 1 + (u + step) % 28
            rows.append(f"user{u},{item},2024-03-{day:02d} {hour:02d}:{u % 60:02d}:00")
    (folder / "orders.csv").write_text("\n".join(["user_id,item_id,time", *rows]) + "\n")
    return folder


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Run a command line as a person would; gives exit_code, stdout and stderr."""
    runner = CliRunner()

    def run(*arguments: object, **options: object) -> Result:
        return runner.invoke(app, [str(a) for a in arguments], **options)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, ask: Ask) -> Path:
    """The shop after ``zhiyin init``."""
    folder = write_shop(tmp_path_factory.mktemp("e2e") / "shop")
    done = ask("init", folder)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="session")
def model(shop: Path, ask: Ask) -> Path:
    """A model of the shop after ``zhiyin train``."""
    out = shop.parent / "shop-model"
    done = ask("train", shop, "--model", "ease", "--out", out)
    assert done.exit_code == 0, done.output
    return out
