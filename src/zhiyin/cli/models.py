"""``zhiyin models``: what can be trained and what two stages are made of, with every setting and its default."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zhiyin.base.errors import UnknownNameError, nearest
from zhiyin.cli.outcome import JsonOption, emit, ending, tell


@ending
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model, ranker or feature source, with its settings.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models, or show one with its settings, ready to be put into a TOML file.

    Rankers and feature sources are tables inside a 'two-stage' model.

    Example: zhiyin models ease
    """
    from zhiyin.data.tables import toml_value
    from zhiyin.models.features.registry import SOURCES
    from zhiyin.models.rank.registry import RANKERS
    from zhiyin.models.registry import RETRIEVERS

    shown = {"models": RETRIEVERS, "rankers": RANKERS, "sources": SOURCES}
    if name is not None:
        part = next((part for part, registry in shown.items() if name in registry.names()), None)
        if part is None:
            raise UnknownNameError(
                f"no model is named '{name}'", nearest(name, [n for registry in shown.values() for n in registry.names()])
            )
        row = described(shown[part].get(name))
        if as_json:
            emit({part: [{"name": name, **row}]})
            return
        tell("\n".join(f"# {line}".rstrip() for line in row["about"].splitlines()))
        tell(f'kind = "{name}"')
        for key, setting in row["settings"].items():
            tell(f"{key} = {toml_value(setting)}" if setting is not None else f"# {key} is not set")
        for key in row["required"]:
            tell(f"# {key} must be given")
        return
    found = {part: [{"name": n, **described(registry.get(n))} for n in registry.names()] for part, registry in shown.items()}
    if as_json:
        emit(found)
        return
    width = max(len(row["name"]) for rows in found.values() for row in rows)
    headings = {"models": "", "rankers": "\nRankers of 'two-stage':", "sources": "\nFeature sources of 'two-stage':"}
    for part, rows in found.items():
        if headings[part]:
            tell(headings[part])
        for row in rows:
            tell(f"{row['name']:<{width}}  {row['about'].splitlines()[0]}")
    tell("\nSettings of one: zhiyin models NAME")


def described(spec_class: Any) -> dict[str, Any]:
    """What a spec says of itself, its settings with their defaults, and those that have none."""
    import inspect

    settings = spec_class.model_construct().model_dump(mode="json")
    required = [key for key, field in spec_class.model_fields.items() if field.is_required()]
    return {"about": inspect.cleandoc(spec_class.__doc__ or ""), "settings": settings, "required": required}
