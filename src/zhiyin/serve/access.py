"""Who may do what: keys with scopes, known only by their hashes.

A key looks like ``zy_<24 random bytes>``: too long to guess, so one SHA-256 is enough to hide it (a slow hash
protects what people choose themselves). The file ``keys.json`` of a tenant holds hashes, scopes, dates and names.
A tenant is open only as long as that file has never been there: no lost, emptied or damaged file opens a door.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path

import msgspec

from zhiyin.base.errors import ConfigError, ModelFileError, UnknownNameError, nearest
from zhiyin.serve.errors import AccessError
from zhiyin.serve.operation import Scope
from zhiyin.store.disk import Disk

PREFIX = "zy_"
FILE = "keys.json"
SCOPES = [scope.name.lower() for scope in Scope if scope is not Scope.PUBLIC]
LOOK_EVERY_S = 0.5
"""A running server learns of new and revoked keys after so long; a look costs one ``stat``."""
_NAME = re.compile(r"[\w.@:-]{1,64}", re.ASCII)
_PORT = re.compile(r":\d*$")
log = logging.getLogger("zhiyin.serve")


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """``scopes`` as words; ``until_us`` is when it ends (rotation: the old key lives on for a while), 0 = never."""

    name: str
    sha256: str
    scopes: list[str]
    made_us: int
    until_us: int = 0

    def ended(self, now_us: int) -> bool:
        return 0 < self.until_us <= now_us


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the name of the key, and its scopes. Without keys on loopback everybody is ``local``."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """An admin may do everything; the other scopes say nothing of each other, a key may hold several."""
        return scope is Scope.PUBLIC or scope in self.scopes or Scope.ADMIN in self.scopes


EVERYBODY = Caller("anonymous", frozenset())
LOCAL = Caller("local", frozenset({Scope.ADMIN}))


class Keys:
    """The keys of one tenant. Changes are written whole or not at all, readable by the owner alone.

    One process may serve while others make and revoke keys: ``look`` notices it, and a lock keeps changes apart.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.path = folder / FILE
        self.open = True
        self._disk = disk or Disk()
        self._keys: list[Key] = []
        self._holders: dict[str, tuple[Key, Caller]] = {}
        self._version: tuple[int, ...] = ()
        self._looked_s = 0.0
        self.refresh()

    def __len__(self) -> int:
        return len(self._keys)

    def refresh(self) -> None:
        """Read the file again where it changed; raises ``ModelFileError`` where it is damaged."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._take([])
            self._version = ()
            return
        version = (found.st_mtime_ns, found.st_ino, found.st_size)
        if version == self._version:
            return
        self.open = False
        try:
            self._take(msgspec.json.decode(self.path.read_bytes(), type=list[Key]))
        except (msgspec.DecodeError, UnicodeDecodeError, OSError, KeyError):
            raise ModelFileError(f"the keys in '{self.path}' cannot be read", "Restore the file, or delete it and make new keys.") from None
        self._version = version

    def look(self) -> None:
        """``refresh`` now and then, for a server that runs; a damaged file leaves the keys that were known."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now
        try:
            self.refresh()
        except (ModelFileError, OSError):
            log.error("the keys cannot be read and stay as they were")

    def make(self, name: str, scopes: list[str], now_us: int) -> str:
        """A new key, shown this once."""
        for scope in scopes:
            if scope not in SCOPES:
                raise UnknownNameError(f"no scope is named '{scope}'", f"Known: {', '.join(SCOPES)}.")
        if not scopes:
            raise ConfigError("a key needs a scope", f"Known: {', '.join(SCOPES)}.")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name[:80]}' is no name for a key", "Use up to 64 letters, digits and . _ - @ : without spaces.")
        secret, key = _fresh(name, list(dict.fromkeys(scopes)), now_us)

        def added(keys: list[Key]) -> list[Key]:
            if any(k.name == name and not k.until_us for k in keys):
                raise ConfigError(f"a key is named '{name}' already", "Rotate or revoke it, or choose another name.")
            return [*keys, key]

        self._change(added)
        return secret

    def rotate(self, name: str, now_us: int, overlap_us: int) -> str:
        """A new key of the same name and scopes; the old one ends after the overlap."""
        secret = ""

        def rotated(keys: list[Key]) -> list[Key]:
            nonlocal secret
            old = next((k for k in keys if k.name == name and not k.until_us), None)
            if old is None:
                raise _unknown(name, keys)
            secret, key = _fresh(name, old.scopes, now_us)
            ending = msgspec.structs.replace(old, until_us=now_us + overlap_us)
            return [*(ending if k is old else k for k in keys if not k.ended(now_us) and (k is not old or overlap_us > 0)), key]

        self._change(rotated)
        return secret

    def revoke(self, name: str) -> int:
        """End every key of a name at once; gives how many."""
        n_gone = 0

        def revoked(keys: list[Key]) -> list[Key]:
            nonlocal n_gone
            left = [k for k in keys if k.name != name]
            n_gone = len(keys) - len(left)
            if not n_gone:
                raise _unknown(name, keys)
            return left

        self._change(revoked)
        return n_gone

    def listed(self) -> list[Key]:
        return sorted(self._keys, key=lambda key: (key.name, key.made_us))

    def caller(self, secret: str, now_us: int) -> Caller | None:
        """Who holds a key, None = nobody. Looking up a hash takes the same time whatever the key is."""
        found = self._holders.get(_hash(secret))
        return None if found is None or found[0].ended(now_us) else found[1]

    def _take(self, keys: list[Key]) -> None:
        self._holders = {k.sha256: (k, Caller(k.name, frozenset(Scope[scope.upper()] for scope in k.scopes))) for k in keys}
        self._keys = keys

    def _change(self, changed: Callable[[list[Key]], list[Key]]) -> None:
        """Replace the file by what ``changed`` makes of its newest state; durable when it returns."""
        self._disk.make_folder(self.path.parent)
        lock = self._disk.lock(self.path.with_suffix(".lock"))
        try:
            lock.take(wait=True)
            self.refresh()
            keys = changed(self._keys)
            fresh = self.path.with_suffix(".new")
            self._disk.write_new(fresh, msgspec.json.format(msgspec.json.encode(keys), indent=1))
            self._disk.rename(fresh, self.path)
            self._disk.sync_folder(self.path.parent)
            self.refresh()
        finally:
            lock.close()


def _fresh(name: str, scopes: list[str], now_us: int) -> tuple[str, Key]:
    secret = PREFIX + secrets.token_urlsafe(24)
    return secret, Key(name, _hash(secret), scopes, now_us)


def _unknown(name: str, keys: list[Key]) -> UnknownNameError:
    return UnknownNameError(f"no key is named '{name[:80]}'", nearest(name, {key.name for key in keys}) or "There is none yet.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def bearer(header: bytes | None, other: bytes | None) -> str | None:
    """The key of ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    if header is not None:
        kind, _, secret = header.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise AccessError("the Authorization header is not 'Bearer KEY'", "Send Authorization: Bearer KEY.", 401)
        return secret.strip()
    return None if other is None else other.decode("latin-1").strip()


def check_local(host: str, origin: str | None, allowed: Collection[str] = ()) -> None:
    """Where no key guards a server on loopback, keep the pages of other sites from using the browser of its owner.

    A page elsewhere can make a browser send requests here (its Origin tells, unless it is ``allowed``), or give its own
    name to this address (its Host tells). Raises ``AccessError``.
    """
    if origin is not None and origin not in allowed:
        name = origin.partition("://")[2]
        if not name or not local_name(name):
            raise AccessError("a page of another site may not use this server without a key", "Make one: zhiyin keys make FOLDER.")
    if not local_name(host):
        raise AccessError("a server without keys answers to its local name only", "Call localhost, or make keys: zhiyin keys make FOLDER.")


@lru_cache(maxsize=256)
def local_name(host: str) -> bool:
    """Whether what stands in Host or Origin can only mean this machine or its own network: an address of loopback,
    or a name without a dot, which nobody outside can register."""
    name = _PORT.sub("", host[:300]).strip("[]").lower()
    if name.endswith(".localhost") or ("." not in name and ":" not in name):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
