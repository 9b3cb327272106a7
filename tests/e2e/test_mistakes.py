"""A person's mistakes: exit code 2, one sentence with the remedy on stderr, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Ask = Callable[..., Result]

MISTAKES = [
    ("recommend {here}/none --user u", "there is no model folder '{here}/none' (E400). Check the path, or train and save one first."),
    (
        "recommend {model}",
        "nobody to recommend for (E300). Give --user ID, --history ID,ID,..., --text WORDS, or --items with --placement.",
    ),
    ("recommend {model} --user user1 --now yesterday", "--now yesterday is no time (E300). Write it like 2024-05-31"),
    ("recommend {model} --user user1 --now 1717150000000", "--now 1717150000000 is no time (E300)"),
    ("recommend {model} --user user1 --now 99999999999999999999", "--now 99999999999999999999 is no time (E300)"),
    ("recommend {model} --user user1 --repeat often", "--repeat often is no repeat policy (E300). Say allow, never, or a number of days"),
    ("recommend {model} --text ' '", "the text to search for is empty (E300). Say what is wanted."),
    ("recommend {shop} --user user1", "'{shop}' is not a model folder: it has no manifest.json (E400)"),
    ("similar {model} p99", "no item has the id 'p99' (E310). Did you mean 'p9'?"),
    ("models eas", "no model is named 'eas' (E310). Did you mean 'ease'?"),
    ("compare eas --on {shop}", "no model is named 'eas' (E310). Did you mean 'ease'?"),
    ("compare ease ease --on {shop}", "model 'ease' is given twice (E300). Name each once."),
    ("compare ease --on ml-1m-sek", "there is neither a folder nor a known data set 'ml-1m-sek' (E210). Did you mean 'ml-1m-seq'?"),
    ("compare ease --on {here}/none", "the data folder '{here}/none' does not exist (E210)"),
    ("compare ease --on {shop} --split sometime", "no split is named 'sometime' (E310)"),
    ("compare ease --on {shop} --metrics ndgc@10", "Did you mean 'ndcg'?"),
    ("compare {here}/none.toml --on {shop}", "there is no file '{here}/none.toml' (E210). Give a model's name"),
    ("compare {bad_toml} --on {shop}", "is not TOML"),
    ("compare {bad_key} --on {shop}", "unknown key 'l3' in {bad_key} (E300). Did you mean 'l2'?"),
    ("train {shop} --model nope", "no model is named 'nope'"),
    ("train {here}/none", "the data folder '{here}/none' does not exist (E210)"),
    ("train {here}", "has no zhiyin.toml (E210). Make one: zhiyin init"),
    ("train {shop} --model popular --out {file}/m", "Not a directory"),
    (
        "train {shop} --model popular --out {shop}",
        "holds something that is not a model (E400). Give another place; nothing was overwritten.",
    ),
    ("check {here}/none", "the data folder '{here}/none' does not exist (E210)"),
    ("check {shop} --out report.pdf", "a page cannot be saved as 'report.pdf' (E300). End the name in .html."),
    ("init {here}/none", "there is no folder '{here}/none' (E210). Give the folder that holds the tables."),
    ("init {file}", "'{file}' is a file (E300)"),
    ("init {shop}", "zhiyin.toml is there already (E300). Say --force to replace it by a fresh guess."),
    ("start {here}/none.csv", "there is no file or folder '{here}/none.csv' (E210)"),
    ("start {orders} --out {here}/s", "nobody is here to confirm these guesses (E300). Look at them with zhiyin init, or say --yes."),
    ("data add ml-1m-sek", "no data set is named 'ml-1m-sek' (E310). Did you mean 'ml-1m-seq'?"),
    ("data add cranfield --to {shop}", "'{shop}' is there already (E300). Give a new folder with --to."),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line.replace("{", "").replace("}", "") for line, _ in MISTAKES])
def test_one_sentence_and_code_two(ask: Ask, shop: Path, model: Path, tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text("kind = ")
    (tmp_path / "key.toml").write_text('kind = "ease"\nl3 = 1.0\n')
    (tmp_path / "file.csv").write_text("a,b\n1,2\n")
    names = {
        "here": tmp_path, "shop": shop, "model": model, "orders": shop / "orders.csv", "file": tmp_path / "file.csv",
        "bad_toml": tmp_path / "bad.toml", "bad_key": tmp_path / "key.toml",
    }  # fmt: skip
    arguments = [part.format(**names) if part != "'" else " " for part in line.replace("' '", "'").split(" ")]
    done = ask(*arguments)
    assert words.format(**names) in done.stderr
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert done.stdout == "" or line.startswith("start")  # which has shown its guesses by then
    assert done.stderr.strip().splitlines()[-1].startswith("zhiyin: ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("frobnicate", "No such command 'frobnicate'"),
        ("recommend", "Missing argument 'MODEL'"),
        ("recommend m -n 0", "'-n' / '--number'"),
        ("recommend m --users u", "No such option"),
        ("similar m i --by colour", "'--by'"),
    ],
)
def test_usage_mistakes(ask: Ask, line: str, words: str) -> None:
    done = ask(*line.split())
    assert done.exit_code == 2
    assert words in done.output


def test_the_unexpected_is_one_line_and_code_one(ask: Ask, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zhiyin.pipeline.recommender import Recommender

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Recommender, "recommend", broken)
    done = ask("recommend", model, "--user", "user1")
    assert done.exit_code == 1
    assert done.stderr == ("zhiyin: unexpected ZeroDivisionError: by zero. Set ZHIYIN_TRACEBACK=1 to see where, and please report it.\n")
