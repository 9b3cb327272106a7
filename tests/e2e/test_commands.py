"""Every command once as documented, as text and as JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import zhiyin

Ask = Callable[..., Result]
COMMANDS = ("demo", "start", "init", "check", "train", "compare", "recommend", "similar", "models", "data list", "data add", "data import")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(ask: Ask, command: str) -> None:
    done = ask(*command.split(), "--help")
    assert done.exit_code == 0
    assert f"zhiyin {command}" in done.output.split("Example:")[1]


def test_version_and_completion(ask: Ask) -> None:
    assert ask("--version").output == f"zhiyin {zhiyin.__version__}\n"
    assert "--show-completion" in ask("--help").output


def test_init_says_how_sure_it_is(ask: Ask, shop: Path) -> None:
    assert "sure" in (shop / "zhiyin.toml").read_text()
    done = ask("init", shop, "--force", "--json")
    told = json.loads(done.stdout)
    keys = {d["key"]: d["value"] for d in told["decisions"]}
    assert (keys["events.user"], keys["events.item"], keys["events.time"]) == ("user_id", "item_id", "time")


def test_check_writes_one_page(ask: Ask, shop: Path, tmp_path: Path) -> None:
    done = ask("check", shop, "--out", tmp_path / "c.html", "--json")
    told = json.loads(done.stdout)
    assert told["facts"]["events"] == 480 and told["facts"]["users"] == 40
    assert "<html" in (tmp_path / "c.html").read_text()
    assert "events" in ask("check", shop, "--out", tmp_path / "c.html").stdout


def test_train_measures_beside_popularity(ask: Ask, shop: Path, tmp_path: Path) -> None:
    done = ask("train", shop, "--model", "transitions", "--out", tmp_path / "m", "--json")
    told = json.loads(done.stdout)
    assert [m["model"] for m in told["measured"]["models"]] == ["transitions", "popular"] or len(told["measured"]["models"]) == 2
    assert told["text_encoder"]
    assert told["events"] == 480
    assert "ndcg@10" in ask("train", shop, "--model", "popular", "--out", tmp_path / "m", "--repeat", "allow").stdout


def test_compare_prints_intervals_and_writes_a_report(ask: Ask, shop: Path, tmp_path: Path) -> None:
    spec = tmp_path / "light.toml"
    spec.write_text('kind = "ease"\nl2 = 5.0\n')
    arguments = ("compare", "popular", "ease", spec, "--on", shop, "--repeat", "allow", "--out", tmp_path / "r.html")
    done = ask(*arguments, "--metrics", "ndcg@5,hr@5")
    assert done.exit_code == 0, done.output
    assert {"popular", "ease", "light", "ndcg@5"} <= set(done.stdout.split())
    told = json.loads(ask(*arguments, "--plots", tmp_path / "plots", "--json").stdout)
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".svg", ".png"}
    scored = {m["model"]: m["metrics"]["ndcg@10"] for m in told["models"]}
    assert scored["light"]["value"] > scored["popular"]["value"]  # people like one colour, and popularity cannot know it
    assert scored["light"]["low"] < scored["light"]["value"] < scored["light"]["high"]
    assert "<svg" in (tmp_path / "r.html").read_text()


def test_compare_sweeps_a_knob(ask: Ask, shop: Path, tmp_path: Path) -> None:
    arguments = (
        "compare",
        "popular",
        "--on",
        shop,
        "--repeat",
        "allow",
        "--sweep",
        "tail",
        "-k",
        5,
        "--out",
        tmp_path / "tail.html",
        "--json",
    )
    done = ask(*arguments)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    shares = [setting["metrics"]["tail-share@5"]["value"] for setting in told["models"][0]["settings"]]
    assert told["knob"] == "tail" and shares == sorted(shares) and shares[0] < shares[-1]
    assert "<svg" in (tmp_path / "tail.html").read_text()
    wrong = ask("compare", "popular", "--on", shop, "--sweep", "tial")
    assert wrong.exit_code == 2 and "no knob is named 'tial'" in wrong.stderr and "'tail'" in wrong.stderr


def test_recommend_knows_users_histories_and_texts(ask: Ask, model: Path) -> None:
    known = json.loads(ask("recommend", model, "--user", "user3", "-n", 4, "--repeat", "allow", "--json").stdout)
    assert known["served_by"] == "ease" and len(known["items"]) == 4
    assert all(item["title"].startswith("white") for item in known["items"])
    by_text = json.loads(ask("recommend", model, "--text", "a blue hat", "-n", 3, "--json").stdout)
    assert by_text["items"][0]["title"] == "blue hat"
    by_history = ask("recommend", model, "--history", "p0, p1,zz", "-n", 3)
    assert "history item 'zz' unknown, left out" in by_history.stdout and "red" in by_history.stdout
    stranger = json.loads(ask("recommend", model, "--user", "nobody", "--json").stdout)
    assert stranger["served_by"] == "popular" and stranger["notes"] == ["user 'nobody' is unknown"]


def test_recommend_as_of_a_time(ask: Ask, model: Path) -> None:
    early = json.loads(ask("recommend", model, "--user", "user3", "--now", "2024-02-01", "--json").stdout)
    assert early["served_by"] == "popular"


def test_similar(ask: Ask, model: Path) -> None:
    done = json.loads(ask("similar", model, "p0", "-n", 5, "--json").stdout)
    assert done["served_by"] == "text"
    assert all("red" in item["title"] or "shoe" in item["title"] for item in done["items"][:3])
    assert json.loads(ask("similar", model, "p0", "--by", "behaviour", "--json").stdout)["served_by"].startswith("ease")


def test_models(ask: Ask) -> None:
    assert {"popular", "ease", "sequence", "zhiyin"} <= {m["name"] for m in json.loads(ask("models", "--json").stdout)["models"]}
    assert "l2 = 200.0" in ask("models", "ease").stdout
    listed = ask("models").stdout
    assert "Settings of one" in listed and "Rankers of 'two-stage':\n" in listed and "\nhistory " in listed


def test_rankers_and_feature_sources_are_shown_too(ask: Ask) -> None:
    """Those that are tables of ``two-stage``; a ranker around another has no default for it."""
    assert 'kind = "trees"' in ask("models", "trees").stdout and "n_trees = 400" in ask("models", "trees").stdout
    assert "hour_widths = [" in ask("models", "history").stdout
    assert "# ranker must be given" in ask("models", "calibrated").stdout
    told = json.loads(ask("models", "--json").stdout)
    assert "linear" in {r["name"] for r in told["rankers"]} and "counts" in {s["name"] for s in told["sources"]}
    assert "Did you mean 'trees'?" in ask("models", "tres").stderr


def test_every_models_page_is_a_spec_file(ask: Ask, tmp_path: Path) -> None:
    from zhiyin.models.registry import RETRIEVERS
    from zhiyin.pipeline.build import read_spec

    for name in RETRIEVERS.names():
        file = tmp_path / f"{name}.toml"
        file.write_text(ask("models", name).stdout)
        assert read_spec(str(file)) == RETRIEVERS.get(name)()


def test_data_list_says_what_is_here(ask: Ask, tmp_path: Path) -> None:
    nowhere = {"ZHIYIN_DATA": str(tmp_path)}
    rows = json.loads(ask("data", "list", "--json", env=nowhere).stdout)["data"]
    assert not any(row["present"] for row in rows) and all(row["terms"] for row in rows)
    assert "absent" in ask("data", "list", env=nowhere).stdout


def test_start_in_one_step(ask: Ask, shop: Path, tmp_path: Path) -> None:
    """A single file, looked at, trained on and measured; the model answers afterwards."""
    done = ask("start", shop / "orders.csv", "--yes", "--no-open", "--out", tmp_path / "first", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {"popular", "zhiyin", "ease", "transitions"} == {m["model"] for m in told["measured"]["models"]}
    for path in (told["report"], told["check"]):
        assert "<html" in Path(path).read_text()
    assert ask("recommend", told["model"], "--user", "user3").exit_code == 0
    again = ask("check", told["data"], "--out", tmp_path / "c.html")
    assert again.exit_code == 0, again.output


def test_recommend_needs_no_torch(model: Path) -> None:
    """Neither for a user nor for a text whose encoder is in the cache."""
    told = (
        "import contextlib, sys\nfrom zhiyin.cli.app import main\n"
        f"for asked in (['--user', 'user3'], ['--text', 'red hat']):\n"
        f"    with contextlib.suppress(SystemExit):\n        main(['recommend', {str(model)!r}, *asked])\n"
        "print('LOADED', *{m.partition('.')[0] for m in sys.modules} & {'torch', 'sklearn', 'matplotlib', 'implicit', 'transformers'})"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("LOADED"), done.stdout[-300:]
    assert done.stdout.count("repeat") == 2


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_says_what_was_kept(shop: Path, tmp_path: Path) -> None:
    spec = tmp_path / "long.toml"
    spec.write_text('kind = "sequence"\ndim = 16\nepochs = 100000\npatience = 100000\nbatch_size = 8\n')
    command = [sys.executable, "-c", "from zhiyin.cli.app import main; main()", "train", shop, "--model", spec, "--out", tmp_path / "m"]
    running = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    log = tmp_path / "m.training" / "log.jsonl"
    for _ in range(1200):
        if log.is_file() and log.read_text().count("\n") >= 2:
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1]
    assert running.returncode == 130
    assert (
        said.splitlines()[-1]
        == f"zhiyin: stopped. The last checkpoint is in {tmp_path / 'm.training'}; the same command goes on from there."
    )
    assert "Traceback" not in said
