"""``zhiyin models``: what can be trained, with every setting and its default."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zhiyin.cli.outcome import JsonOption, emit, ending, tell


@ending
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model, with its settings.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models, or show one with its settings, ready to be put into a TOML file.

    Example: zhiyin models ease
    """
    from zhiyin.data.tables import toml_value
    from zhiyin.models.registry import RETRIEVERS

    found = [described(n) for n in ([name] if name else RETRIEVERS.names())]
    if as_json:
        emit({"models": found})
        return
    if name is None:
        width = max(len(row["name"]) for row in found)
        for row in found:
            tell(f"{row['name']:<{width}}  {row['about'].splitlines()[0]}")
        tell("\nSettings of one: zhiyin models NAME")
        return
    row = found[0]
    tell("\n".join(f"# {line}".rstrip() for line in row["about"].splitlines()))
    tell(f'kind = "{row["name"]}"')
    for key, setting in row["settings"].items():
        tell(f"{key} = {toml_value(setting)}" if setting is not None else f"# {key} is not set")


def described(name: str) -> dict[str, Any]:
    """Name, what its spec says of itself, and settings with their defaults."""
    import inspect

    from zhiyin.models.registry import RETRIEVERS

    spec_class = RETRIEVERS.get(name)
    settings = spec_class().model_dump(mode="json")
    return {"name": name, "about": inspect.cleandoc(spec_class.__doc__ or ""), "settings": settings}
