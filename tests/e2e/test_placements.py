"""The commands of placements, pages and batches as documented."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import Result

Ask = Callable[..., Result]


@pytest.mark.parametrize("command", ["page", "placements"])
def test_help_has_an_example(ask: Ask, command: str) -> None:
    done = ask(command, "--help")
    assert done.exit_code == 0 and f"zhiyin {command}" in done.output.split("Example:")[1]


def test_a_trained_model_fills_a_cart(ask: Ask, model: Path) -> None:
    told = json.loads(ask("recommend", model, "--placement", "cart", "--items", "p0,p1", "--json").stdout)
    assert told["title"] == "Goes with your cart" and told["placement"] == "cart"
    assert told["items"] and not {"p0", "p1"} & {item["item_id"] for item in told["items"]}
    assert "Because you chose" in ask("recommend", model, "--history", "p3", "--placement", "because").stdout


def test_a_page_has_titles_and_no_doubles(ask: Ask, model: Path) -> None:
    told = json.loads(ask("page", model, "--user", "user3", "--json").stdout)
    ids = [item["item_id"] for shelf in told["shelves"] for item in shelf["items"]]
    assert len(told["shelves"]) >= 2 and len(ids) == len(set(ids))
    shown = ask("page", model, "--user", "user3", "--placements", "home,recent", "--language", "zh").stdout
    assert "为你推荐" in shown


def test_placements_are_toml_that_can_be_set(ask: Ask, model: Path, tmp_path: Path) -> None:
    import shutil

    mine = tmp_path / "m"
    shutil.copytree(model, mine)
    file = tmp_path / "p.toml"
    file.write_text(ask("placements", mine).stdout)
    assert "[cart]" in file.read_text()
    file.write_text(file.read_text() + '\n[red]\nretrievers = ["popular"]\nsize = 2\n[red.rules]\nonly = ["red"]\n')
    done = ask("placements", mine, "--set", file, "--json")
    assert done.exit_code == 0, done.output
    assert [p["name"] for p in json.loads(done.stdout)["placements"]][-1] == "red"
    red = json.loads(ask("recommend", mine, "--user", "user2", "--placement", "red", "--repeat", "allow", "--json").stdout)
    assert [item["title"].split()[0] for item in red["items"]] == ["red", "red"]


def test_rules_are_checked_against_a_model(ask: Ask, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[pin.a]\nitem = "p1"\nposition = 1\n')
    assert ask("placements", model, "--rules", file).stdout == "1 rule, and nothing contradicts another rule or the items.\n"
    file.write_text('[pin.a]\nitem = "p1"\nposition = 1\nplacements = ["crat"]\n[pin.b]\nitem = "p2"\nposition = 1\n')
    said = ask("placements", model, "--rules", file).stdout
    assert "[BAD] rules.toml line 1 [pin.a]: no placement is named 'crat'.\n       Did you mean 'cart'?" in said
    told = json.loads(ask("placements", model, "--rules", file, "--json").stdout)
    assert told["rules"] == 2 and [c["topic"] for c in told["conflicts"]] == ["placement", "slot"]
    wrong = ask("placements", model, "--rules", tmp_path / "none.toml")
    assert wrong.exit_code == 2 and "there is no file" in wrong.stderr


MISTAKES = [
    (["--placement", "crat", "--user", "user1"], "no placement is named 'crat' (E310). Did you mean 'cart'?"),
    (["--all-users"], "--all-users needs a file to write the lists to"),
    (["--all-users", "--out", "x.parquet", "--user", "user1"], "--all-users goes with no single user"),
    (["--all-users", "--out", "x.parquet", "--context", "device=phone"], "no context column is named 'device' (E310)"),
    (["--user", "user1", "--out", "x.parquet"], "--out goes with --all-users"),
    (["--items", "p1", "--placement", "search"], "placement 'search' answers words, and none were given"),
    ([], "nobody to recommend for"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistakes(ask: Ask, model: Path, arguments: list[str], sentence: str) -> None:
    done = ask("recommend", model, *arguments)
    assert done.exit_code == 2 and sentence in done.stderr
    assert "Traceback" not in done.output


def test_lists_for_all(ask: Ask, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists.parquet"
    told = json.loads(ask("recommend", model, "--all-users", "--placement", "again", "-n", 3, "--out", out, "--json").stdout)
    table = pl.read_parquet(out)
    assert told == {"out": str(out), "placement": "again", "users": 40, "rows": table.height}
    one = json.loads(ask("recommend", model, "--user", "user5", "--placement", "again", "-n", 3, "--json").stdout)
    assert table.filter(pl.col("user_id") == "user5")["item_id"].to_list() == [item["item_id"] for item in one["items"]]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_keeps_the_parts_and_the_same_command_goes_on(model: Path, tmp_path: Path) -> None:
    """Parts of one person and a slow report make the batch long enough to be stopped."""
    out, whole = tmp_path / "lists.parquet", tmp_path / "whole.parquet"
    slow = (
        "import sys, time\nfrom zhiyin.pipeline import batch\n"
        "batch.Batch.__init__.__defaults__ = (*batch.Batch.__init__.__defaults__[:-1], 1)\n"
        "old = batch.Batch._write_part\n"
        "def wait(self, path, users):\n    time.sleep(float(sys.argv[1]))\n    old(self, path, users)\n"
        "batch.Batch._write_part = wait\nfrom zhiyin.cli.app import main\nmain(sys.argv[2:])"
    )

    def command(pause: float, target: Path) -> list[str]:
        return [sys.executable, "-c", slow, str(pause), "recommend", str(model), "--all-users", "--out", str(target)]

    running = subprocess.Popen(command(0.2, out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for _ in range(600):
        if len(list(tmp_path.glob("lists.parquet.parts/part-*.parquet"))) >= 2:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert running.returncode == 130
    assert "finished parts are in" in said.splitlines()[-1] and "the same command goes on from there" in said
    subprocess.run(command(0.0, out), check=True, capture_output=True)
    subprocess.run(command(0.0, whole), check=True, capture_output=True)
    assert out.read_bytes() == whole.read_bytes()
