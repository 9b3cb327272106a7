"""Checks of where everything lies: rights, room, keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from zhiyin.data.findings import Finding, many
from zhiyin.serve.access import FILE as KEYS
from zhiyin.serve.access import Keys
from zhiyin.serve.doctor import Check, Patient

_LEAST = 256 << 20
_FEW = 2 << 30
_FEW_FILES = 1_000


def rights(patient: Patient) -> Iterator[Finding]:
    """Whether a server of this user can write, and others on the machine cannot read."""
    home = patient.home
    above = home if home.is_dir() else home.absolute().parent
    if not os.access(above, os.W_OK | os.X_OK):
        yield Finding("bad", "rights", f"'{above}' cannot be written by this user.", "Give him the folder, or serve as its owner.")
    if not home.is_dir():
        yield Finding("info", "rights", "Nothing was ever served from here: there is no FOLDER.live yet.")
        return
    foreign = [path for path in (home, *_inside(home)) if hasattr(os, "geteuid") and path.stat().st_uid != os.geteuid()]
    if foreign and os.geteuid() != 0:
        yield Finding("warn", "rights", f"'{foreign[0]}' belongs to another user.", "Serve as the owner of the folder.")
    open_ = [path for path in _inside(home) if path.is_file() and path.stat().st_mode & 0o004]
    # A file that others may read is safe in a folder that they may not enter.
    if open_ and home.stat().st_mode & 0o001:
        n = many(len(open_), "file")
        yield Finding(
            "warn", "rights", f"Others on this machine may read what people did: {n}, such as '{open_[0].name}'.", f"chmod 700 {home}"
        )


def _inside(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if "bundles" not in path.relative_to(home).parts)


def room(patient: Patient) -> Iterator[Finding]:
    """Bytes and files that are left."""
    place = patient.home if patient.home.is_dir() else patient.home.absolute().parent
    disk = shutil.disk_usage(place)
    patient.facts["disk free"] = f"{disk.free / 2**30:,.1f} GiB of {disk.total / 2**30:,.1f}"
    if disk.free < _LEAST:
        yield Finding("bad", "room", f"The disk has {disk.free / 2**20:,.0f} MiB left: events cannot be stored soon.", "Free some.")
    elif disk.free < _FEW:
        yield Finding("warn", "room", f"The disk has {disk.free / 2**30:,.1f} GiB left.", "Free some before it is full.")
    if hasattr(os, "statvfs"):
        files = os.statvfs(place)
        if files.f_files and files.f_favail < _FEW_FILES:
            yield Finding("bad", "room", f"The disk has room for {files.f_favail:,} more files.", "Delete some small ones.")


def keys(patient: Patient) -> Iterator[Finding]:
    """Who may ask."""
    if not patient.home.is_dir():
        return
    known = Keys(patient.home)
    living = [key for key in known.listed() if not key.ended(patient.now_us)]
    if known.open:
        patient.facts["keys"] = "none: open to everybody on this machine, and to nobody else"
        return
    patient.facts["keys"] = [f"{key.name} ({', '.join(key.scopes)})" for key in living] or "none that works"
    if not living:
        yield Finding("bad", "keys", "No key works: nobody is answered.", "Make one: zhiyin keys make FOLDER --name admin --scope admin.")
    elif not any("admin" in key.scopes for key in living):
        yield Finding("warn", "keys", "No key may change items or see people.", "Make one with --scope admin if that is wanted.")
    if (patient.home / KEYS).stat().st_mode & 0o077:
        yield Finding("warn", "keys", f"{KEYS} can be read by others.", f"chmod 600 {patient.home / KEYS}")


PLACE_CHECKS: tuple[Check, ...] = (rights, room, keys)
