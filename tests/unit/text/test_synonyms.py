"""Synonym files: both forms say the same, and every mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.text.synonyms import Synonyms

TEXT = """# what people say
手机, 电话, mobile phones   # three of a kind
laptop => notebook, ultrabook
"""
TOML = """same = [["手机", "电话", "mobile phones"]]
[also]
laptop = ["notebook", "ultrabook"]
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "text"), [("s.txt", TEXT), ("s.toml", TOML), ("bom.txt", "\ufeff" + TEXT)])
def test_groups_find_each_other_and_arrows_go_one_way(tmp_path: Path, name: str, text: str) -> None:
    synonyms = Synonyms.read(written(tmp_path, name, text))
    assert synonyms.of(("电话",)) == ((("手机",), "手机"), (("mobil", "phon"), "mobile phones"))
    assert synonyms.of(("mobil", "phon"))[0] == (("手机",), "手机")
    assert [text for _, text in synonyms.of(("laptop",))] == ["notebook", "ultrabook"]
    assert synonyms.of(("notebook",)) == ()
    assert (synonyms.longest, len(synonyms)) == (2, 4)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("s.txt", "a, b\n\nonly", r"line 3 of '.*' says no synonyms: 'only' \(E300\). Write 'a, b, c' or 'a => b, c'."),
        ("s.txt", "a =>", "line 1 of .* says no synonyms"),
        ("s.txt", "=> b", "line 1 of .* says no synonyms"),
        ("s.txt", "a => b => c", "line 1 of .* says no synonyms"),
        ("s.txt", "a, !!", "line 1 of .* holds '!!', which has no letters"),
        ("s.toml", "same = [", "is not TOML"),
        ("s.toml", "sane = []", "unknown key 'sane' in .* Did you mean 'same'"),
        ("s.toml", "same = 3", "'same' in .* must be a list of lists"),
        ("s.toml", 'same = [["a"]]', r"group 1 of 'same' in .* must be a list of 2 or more words, not \['a'\]"),
        ("s.toml", 'same = [["a", 2]]', "group 1 of 'same'"),
        ("s.toml", "also = 1", "'also' in .* must be a table"),
        ("s.toml", '[also]\na = "b"', "'also.a' in .* must be a list of 1 or more words"),
        ("s.toml", '[also]\n"?" = ["b"]', "holds '.', which has no letters"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Synonyms.read(written(tmp_path, name, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="there is no synonym file"):
        Synonyms.read(tmp_path / "none.txt")
    (tmp_path / "gb.txt").write_bytes("手机, 电话".encode("gb18030"))
    with pytest.raises(ConfigError, match=r"cannot be read: .* Save it as UTF-8"):
        Synonyms.read(tmp_path / "gb.txt")
