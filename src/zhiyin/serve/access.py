"""Who may do what: keys with scopes, known only by their hashes.

A key looks like ``zy_live_<24 random bytes>``: too long to guess, so one SHA-256 is enough to hide it (a slow hash
protects what people choose themselves). The file ``keys.json`` of a tenant holds hashes, scopes, dates and names.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from zhiyin.base.errors import ConfigError, ModelFileError
from zhiyin.serve.errors import AccessError
from zhiyin.serve.operation import Scope

PREFIX = "zy_"
FILE = "keys.json"


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """``scopes`` as words; ``until_us`` is when it ends (rotation: the old key lives on for a while), 0 = never."""

    name: str
    sha256: str
    scopes: list[str]
    made_us: int
    until_us: int = 0


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the name of the key, and its scopes. Without keys on loopback everybody is ``local``."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """An admin may do everything; a reader may also ask for recommendations."""
        if scope is Scope.PUBLIC or Scope.ADMIN in self.scopes:
            return True
        return scope in self.scopes


EVERYBODY = Caller("anonymous", frozenset())
LOCAL = Caller("local", frozenset({Scope.ADMIN}))


class Keys:
    """The keys of one tenant. Changes are written whole or not at all, readable by the owner alone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._by_hash: dict[str, Key] = {}
        self._read_at = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._by_hash)

    def refresh(self) -> None:
        """Read the file again where it changed; raises ``ModelFileError`` where it is damaged."""
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            self._by_hash = {}
            return
        if changed == self._read_at:
            return
        try:
            keys = msgspec.json.decode(self.path.read_bytes(), type=list[Key])
        except (msgspec.DecodeError, OSError):
            raise ModelFileError(f"the keys in '{self.path}' cannot be read", "Restore the file, or delete it and make new keys.") from None
        self._by_hash = {key.sha256: key for key in keys}
        self._read_at = changed

    def make(self, name: str, scopes: list[str], now_us: int) -> str:
        """A new key, shown this once."""
        known = [scope.name.lower() for scope in Scope if scope is not Scope.PUBLIC]
        for scope in scopes:
            if scope not in known:
                raise ConfigError(f"no scope is named '{scope}'", f"Known: {', '.join(known)}.")
        if not scopes:
            raise ConfigError("a key needs a scope", f"Known: {', '.join(known)}.")
        if any(key.name == name and not key.until_us for key in self._by_hash.values()):
            raise ConfigError(f"a key is named '{name}' already", "Rotate or revoke it, or choose another name.")
        secret = PREFIX + secrets.token_urlsafe(24)
        self._by_hash[_hash(secret)] = Key(name, _hash(secret), scopes, now_us)
        self._write()
        return secret

    def rotate(self, name: str, now_us: int, overlap_us: int) -> str:
        """A new key of the same name and scopes; the old one ends after the overlap."""
        old = next((key for key in self._by_hash.values() if key.name == name and not key.until_us), None)
        if old is None:
            raise ConfigError(
                f"no key is named '{name}'", f"Known: {', '.join(sorted({k.name for k in self._by_hash.values()})) or 'none'}."
            )
        self._by_hash[old.sha256] = msgspec.structs.replace(old, until_us=now_us + overlap_us)
        return self.make(name, old.scopes, now_us)

    def revoke(self, name: str) -> int:
        """End every key of a name at once; gives how many."""
        gone = [digest for digest, key in self._by_hash.items() if key.name == name]
        for digest in gone:
            del self._by_hash[digest]
        self._write()
        return len(gone)

    def listed(self) -> list[Key]:
        return sorted(self._by_hash.values(), key=lambda key: (key.name, key.made_us))

    def caller(self, secret: str, now_us: int) -> Caller | None:
        """Who holds a key, None = nobody. Looking up a hash takes the same time whatever the key is."""
        key = self._by_hash.get(_hash(secret))
        if key is None or (key.until_us and key.until_us <= now_us):
            return None
        return Caller(key.name, frozenset(Scope[scope.upper()] for scope in key.scopes))

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.listed()), indent=1))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self.path)
        self._read_at = self.path.stat().st_mtime_ns


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def bearer(header: str | None, other: str | None) -> str | None:
    """The key of ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    if header is not None:
        kind, _, secret = header.partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise AccessError("the Authorization header is not 'Bearer KEY'", "Send Authorization: Bearer KEY.", 401)
        return secret.strip()
    return other
