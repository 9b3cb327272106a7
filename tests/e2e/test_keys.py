"""``zhiyin keys``, and a server that follows what it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import Result

from zhiyin.serve import access
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings

Ask = Callable[..., Result]


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "shop-model"))


def test_keys_open_a_running_server_and_close_it(folder: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK_EVERY_S", 0.0)
    _, app = open_server([folder], Settings(deadline_ms=5_000))
    with TestClient(app) as client:

        def status(key: str | None) -> int:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            return client.post("/v1/shop-model/recommend", json={"user": "user1"}, headers=headers).status_code

        assert status(None) == 200
        made = ask("keys", "make", folder, "--name", "web", "--scope", "recommend", "--scope", "ingest")
        assert made.exit_code == 0 and "from now on 'shop-model' answers to keys only" in made.stderr
        first = made.stdout.strip()
        assert [status(None), status(first), status(first + "x")] == [401, 200, 401]
        second = json.loads(ask("keys", "rotate", folder, "--name", "web", "--overlap-h", "1", "--json").stdout)["key"]
        assert [status(first), status(second)] == [200, 200]
        third = ask("keys", "rotate", folder, "--name", "web", "--overlap-h", "0").stdout.strip()
        assert [status(second), status(third)] == [401, 200]
        gone = ask("keys", "revoke", folder, "--name", "web")
        assert "of 'web' ended" in gone.stdout and "answers nobody" in gone.stderr
        assert [status(key) for key in (None, first, second, third)] == [401] * 4


def test_lists_say_who_may_what_and_never_the_key(folder: Path, ask: Ask) -> None:
    assert ask("keys", "list", folder).stdout == "no keys\n"
    secret = ask("keys", "make", folder, "--name", "web", "--scope", "read").stdout.strip()
    told = ask("keys", "list", folder).stdout
    assert told.startswith("web  read  (made ") and secret not in told
    (row,) = json.loads(ask("keys", "list", folder, "--json").stdout)["keys"]
    assert (row["name"], row["scopes"], row["until"]) == ("web", ["read"], None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("make", "--name", "web", "--scope", "write"), "no scope is named 'write' (E310). Known: ingest, recommend, read, admin."),
        (("make", "--name", "a b", "--scope", "read"), "'a b' is no name for a key (E300)."),
        (("rotate", "--name", "web"), "no key is named 'web' (E310). There is none yet."),
        (("revoke", "--name", "web"), "no key is named 'web' (E310). There is none yet."),
    ],
)
def test_mistakes_are_told_and_open_or_close_nothing(folder: Path, ask: Ask, arguments: tuple[str, ...], words: str) -> None:
    done = ask("keys", arguments[0], folder, *arguments[1:])
    assert done.exit_code == 2 and words in done.stderr
    assert access.Keys(folder.with_name("shop-model.live")).open


def test_a_folder_that_is_not_there_has_no_keys(ask: Ask, tmp_path: Path) -> None:
    done = ask("keys", "make", tmp_path / "none", "--name", "a", "--scope", "read")
    assert done.exit_code == 2 and "there is no folder" in done.stderr
    assert not (tmp_path / "none.live").exists()


def test_nothing_stands_open_to_other_machines(folder: Path, ask: Ask) -> None:
    done = ask("serve", folder, "--host", "0.0.0.0", "--port", "0")
    assert done.exit_code == 2
    assert "refusing to listen on 0.0.0.0 while 'shop-model' has no keys (E300). Make one: zhiyin keys make FOLDER" in done.stderr
