"""Which format a folder is in, and its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zhiyin.base.errors import ConfigError, DataError, MissingDataError, UnknownNameError, ZhiyinError, nearest
from zhiyin.data.build import build
from zhiyin.data.importing import gorse, personalize, recbole
from zhiyin.data.importing.parts import Imported


@dataclass(frozen=True)
class Format:
    """What people call it, how a folder of it is told, and its reader."""

    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, str], Imported]


FORMATS = {
    "gorse": Format("Gorse", gorse.fits, gorse.read),
    "personalize": Format("Amazon Personalize", personalize.fits, personalize.read),
    "recbole": Format("RecBole", recbole.fits, recbole.read),
}


def recognise(folder: str | Path) -> str | None:
    """The format whose files and columns a folder has, by name; None where it has none of them. Changes nothing."""
    for name, known in FORMATS.items():
        try:
            if known.fits(Path(folder)):
                return name
        except (ZhiyinError, OSError):
            continue
    return None


def import_folder(folder: str | Path, form: str | None = None, name: str = "", now_us: int | None = None) -> Imported:
    """Read a folder that Gorse, Personalize or RecBole wrote; ``form`` is a key of ``FORMATS``, None = recognise it.

    Every row is checked on the way, with the words a person knows from the files: file, row, column. Times later
    than a day after ``now_us`` (None = the clock) are refused. For tables of your own see ``data.guess``.
    """
    path = Path(folder)
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise MissingDataError(f"the folder '{path}' {what}", "Give the folder that holds the exported files.")
    found = form or recognise(path)
    if found is None:
        raise ConfigError(
            f"the folder '{path}' does not look like an export of {', '.join(f.title for f in FORMATS.values())}",
            "Name the format with --from; for tables of your own: zhiyin init.",
        )
    if found not in FORMATS:
        raise UnknownNameError(f"no format is named '{found}'", nearest(found, FORMATS))
    imported = FORMATS[found].read(path, name or path.resolve().name)
    try:
        build(imported.tables, now_us)
    except DataError as error:
        # Rules of cleaning belong to a manifest, which does not exist yet.
        raise type(error)(
            error.message, "Correct it in that file, or remove it there." if "[clean" in error.hint else error.hint
        ) from error
    return imported
