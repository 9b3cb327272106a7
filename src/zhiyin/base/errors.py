"""Every error a user can meet: one root, a code, one sentence, a remedy.

Each class also inherits the built-in a Python caller would expect to catch, so
``except ValueError`` works for bad data without importing anything of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZhiyinError(Exception):
    """The root. ``str(error)`` reads "message (E100). hint"."""

    code = "E100"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        sentence = f"{self.message} ({self.code})."
        return f"{sentence} {self.hint}" if self.hint else sentence


class DataError(ZhiyinError, ValueError):
    """A table holds something that cannot be read as what the manifest says it is."""

    code = "E200"


class MissingDataError(DataError, FileNotFoundError):
    """A file, folder or column that was named does not exist."""

    code = "E210"


class ConfigError(ZhiyinError, ValueError):
    """A manifest, spec or option is wrong."""

    code = "E300"


class UnknownNameError(ConfigError, LookupError):
    """A name (model, data set, metric, key) that nobody registered."""

    code = "E310"


class ModelFileError(ZhiyinError, ValueError):
    """A saved model is damaged, incomplete or from a newer zhiyin."""

    code = "E400"


class MissingExtraError(ZhiyinError, ImportError):
    """An optional dependency is absent; the hint is the pip command that brings it."""

    code = "E500"


class FitError(ZhiyinError, RuntimeError):
    """Training cannot go on (no events, loss is not finite, ...)."""

    code = "E600"


class StoreError(ZhiyinError, OSError):
    """A store cannot read or write: disk full, I/O error, damaged file, locked, server away. Nothing was acknowledged."""

    code = "E700"


class StoreBusyError(StoreError):
    """More is waiting to be written than a store takes; the same call may be made again in a moment."""

    code = "E710"


class StoreConflictError(StoreError):
    """A row is at another version than the one its change was made for; nothing was written."""

    code = "E720"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known name, or all of them when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""
