"""How a command ends: its exit code, its words on stderr, its JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, Protocol

import typer

from zhiyin.base.errors import ZhiyinError

if TYPE_CHECKING:
    from zhiyin.page.page import Page

P = ParamSpec("P")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(envvar="ZHIYIN_DATABASE", help="The --database that zhiyin serve is given; left out: files in FOLDER.live."),
]
PlotsOption = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also save every plot here, as SVG and PNG.")]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a moment when something was kept; the message says what, and how to go on."""


def ending(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into an exit code and one sentence, never a traceback.

    0 done; 1 unexpected (``ZHIYIN_TRACEBACK=1`` shows where); 2 the user's mistake; 130 ctrl-C.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ZhiyinError as error:
            _stop(str(error), 2)
        except Interrupted as stop:
            _stop(f"stopped. {stop}", 130)
        except KeyboardInterrupt:
            _stop("stopped. Nothing was written.", 130)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except OSError as error:
            place = f"'{error.filename}': " if error.filename else ""
            _stop(f"{place}{error.strerror or error}.", 2)
        except MemoryError:
            _stop("the memory of this machine is not enough for that. Try fewer items or users, or a model that is not dense.", 1)
        except Exception as error:
            if os.environ.get("ZHIYIN_TRACEBACK"):
                raise
            _stop(f"unexpected {type(error).__name__}: {error}. Set ZHIYIN_TRACEBACK=1 to see where, and please report it.", 1)

    return run


def _stop(sentence: str, code: int) -> None:
    typer.echo(f"zhiyin: {sentence}", err=True)
    raise typer.Exit(code)


def tell(line: str = "") -> None:
    """A line for people, on stdout."""
    typer.echo(line)


def aside(line: str) -> None:
    """A line about the work, on stderr, so that stdout stays the result."""
    typer.echo(line, err=True)


def emit(value: Any) -> None:
    """The result as JSON on stdout; numbers that are not finite become null."""
    typer.echo(json.dumps(_plain(value), ensure_ascii=False, indent=1, allow_nan=False))


class Reported(Protocol):
    """What a command found out: as a page, as text, as plain values."""

    def to_page(self) -> Page: ...

    def to_text(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


def hand_over(found: Reported, out: Path, plots: Path | None, *, as_json: bool) -> None:
    """Save the page as ``out`` and its plots under ``plots``, print text or JSON, and say where the page lies."""
    page = found.to_page()
    path = page.save(out)
    if plots is not None:
        page.save_plots(plots)
    if as_json:
        emit({**found.to_dict(), "report": str(path)})
    else:
        tell(found.to_text())
    aside(f"report: {path}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item"):  # a number of numpy
        return _plain(value.item())
    return str(value)


def interactive() -> bool:
    """True where a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
