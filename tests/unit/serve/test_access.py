"""Keys at rest and in motion: made, found again by their hash alone, rotated, revoked, followed by a server that runs."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from zhiyin.base.errors import ConfigError, ModelFileError, UnknownNameError
from zhiyin.serve import access
from zhiyin.serve.access import Caller, Keys, bearer, check_local, local_name
from zhiyin.serve.errors import AccessError
from zhiyin.serve.operation import Scope
from zhiyin.serve.settings import Settings, check_open

HOUR = 3_600_000_000


def name_of(caller: Caller | None) -> str | None:
    return None if caller is None else caller.name


def test_a_key_is_known_by_its_hash_alone_and_by_nobody_else(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    secret = keys.make("web", ["recommend", "ingest", "recommend"], 5)
    written = keys.path.read_bytes()
    assert secret.startswith("zy_") and len(secret) == 35
    assert secret.encode() not in written and secret[3:].encode() not in written
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert Keys(tmp_path).caller(secret, 10) == Caller("web", frozenset({Scope.RECOMMEND, Scope.INGEST}))
    assert [keys.caller(other, 10) for other in ("", secret[:-1], secret + "x", secret.swapcase(), "zy_" + "é" * 9)] == [None] * 5


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        ("web", ["read", "write"], "no scope is named 'write'"),
        ("web", ["public"], "no scope is named 'public'"),
        ("web", [], "needs a scope"),
        ("", ["read"], "no name for a key"),
        ("a b", ["read"], "no name for a key"),
        ("web\n", ["read"], "no name for a key"),
        ("x" * 65, ["read"], "no name for a key"),
        ("here", ["read"], "a key is named 'here' already"),
    ],
)
def test_keys_that_make_no_sense_are_not_made(tmp_path: Path, name: str, scopes: list[str], words: str) -> None:
    keys = Keys(tmp_path)
    keys.make("here", ["read"], 1)
    with pytest.raises(ConfigError, match=words):
        keys.make(name, scopes, 2)
    assert [key.name for key in Keys(tmp_path).listed()] == ["here"]


def test_rotation_lets_the_old_key_live_on_for_a_while(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    first = keys.make("web", ["read"], 0)
    second = keys.rotate("web", 10, HOUR)
    assert [name_of(keys.caller(first, at)) for at in (11, 10 + HOUR - 1, 10 + HOUR)] == ["web", "web", None]
    third = keys.rotate("web", HOUR * 2, 0)
    assert [name_of(keys.caller(key, HOUR * 2)) for key in (first, second, third)] == [None, None, "web"]
    assert len(keys) == 1  # what has ended is forgotten at the next change
    with pytest.raises(UnknownNameError, match="Did you mean 'web'"):
        keys.rotate("wep", 0, 0)


def test_revoking_ends_every_key_of_a_name_and_never_opens_the_door(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    old = keys.make("web", ["admin"], 0)
    new = keys.rotate("web", 1, HOUR)
    assert keys.revoke("web") == 2
    for read in (keys, Keys(tmp_path)):
        assert [read.caller(key, 2) for key in (old, new)] == [None, None]
        assert (len(read), read.open) == (0, False)
    with pytest.raises(UnknownNameError):
        keys.revoke("web")


def test_a_server_that_runs_follows_what_another_process_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK_EVERY_S", 0.0)
    running, other = Keys(tmp_path), Keys(tmp_path)
    assert running.open
    secret = other.make("web", ["read"], 0)
    running.look()
    assert (running.open, name_of(running.caller(secret, 1))) == (False, "web")
    running.path.write_text("[{]")
    running.look()  # half a file: what was known stays
    assert name_of(running.caller(secret, 1)) == "web"
    with pytest.raises(ModelFileError, match="cannot be read"):
        Keys(tmp_path)
    running.path.unlink()
    running.look()  # a lost file opens nothing
    assert (running.open, running.caller(secret, 1)) == (False, None)


def test_changes_made_at_once_lose_none(tmp_path: Path) -> None:
    threads = [threading.Thread(target=lambda n=n: Keys(tmp_path).make(f"k{n}", ["read"], n)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in Keys(tmp_path).listed()} == {f"k{n}" for n in range(12)}


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.PUBLIC])
def test_a_scope_opens_itself_and_what_is_public_and_admin_opens_all(scope: Scope) -> None:
    caller = Caller("k", frozenset({scope}))
    assert {s for s in Scope if caller.may(s)} == (set(Scope) if scope is Scope.ADMIN else {scope, Scope.PUBLIC})


def test_where_a_key_stands_in_a_request() -> None:
    assert bearer(b"Bearer  zy_1 ", None) == "zy_1"
    assert bearer(b"bearer zy_1", b"zy_2") == "zy_1"
    assert bearer(None, b" zy_2") == "zy_2"
    assert bearer(None, None) is None
    for wrong in (b"Basic abc", b"Bearer", b"Bearer ", b"", b"zy_1"):
        with pytest.raises(AccessError):
            bearer(wrong, b"zy_2")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("localhost:8765", True), ("127.0.0.1:1", True), ("[::1]:8765", True), ("[::1]", True), ("127.9.9.9", True),
        ("shop.localhost:1", True), ("web", True), ("", True), ("evil.example", False), ("evil.example:8765", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("[fe80::1]:80", False), ("0.0.0.0", False),
    ],
)  # fmt: skip
def test_names_that_can_only_mean_this_machine(host: str, local: bool) -> None:
    assert local_name(host) is local


def test_pages_of_other_sites_cannot_use_a_server_without_keys() -> None:
    check_local("localhost:8765", None)
    check_local("127.0.0.1:8765", "http://localhost:3000")
    check_local("localhost", "https://shop.example", ["https://shop.example"])
    for host, origin in (("localhost", "https://evil.example"), ("localhost", "null"), ("evil.example:8765", None), ("localhost", "")):
        with pytest.raises(AccessError):
            check_local(host, origin)


@pytest.mark.parametrize(
    ("host", "may"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("shop.example", False)]
)
def test_nothing_stands_open_to_other_machines(host: str, may: bool) -> None:
    settings = Settings(host=host)
    if may:
        check_open(settings, ["shop"])
    else:
        with pytest.raises(ConfigError, match=r"refusing to listen on .* while 'shop' has no keys .*zhiyin keys make"):
            check_open(settings, ["shop"])
    check_open(settings, [])


def test_settings_from_the_environment_and_the_command_line() -> None:
    there = {
        "ZHIYIN_PORT": "9000",
        "ZHIYIN_RATE_PER_S": "2.5",
        "ZHIYIN_CORS_ORIGINS": "https://a.example, https://b.example",
        "ZHIYIN_DATA": "x",
    }
    settings = Settings.here(there, port=None, host="localhost")
    assert (settings.port, settings.rate_per_s, settings.host) == (9000, 2.5, "localhost")
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert Settings.here(there, port=1).port == 1
    with pytest.raises(ConfigError, match="'port' in the settings of the server must be a whole number, not 'many'"):
        Settings.here({"ZHIYIN_PORT": "many"})
