"""What is asked: frozen, validated, with a digest. Circumstances are in a Run, results in a Model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from zhiyin.base.digest import digest_json
from zhiyin.base.errors import ConfigError, ZhiyinError, nearest

WORDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
    "list_type": "a list [ ]",
    "tuple_type": "a list [ ]",
    "dict_type": "a table { }",
    "model_type": "a table { }",
    "too_short": "longer",
    "too_long": "shorter",
}
"""What a value of the wrong type should have been, as the writer of a TOML file knows it."""
BRANCHES = ("str", "int", "float", "bool", "dict[str,any]")
"""How pydantic names the ways to read a value that may have several types: no part of the path a person wrote."""


class Spec(BaseModel):
    """Base of every configuration. Unknown keys are refused with the nearest known name."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Build from plain values; one clear ``ConfigError`` with place and remedy otherwise."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            nested = error.errors(include_url=False)[0].get("ctx", {}).get("error")
            # A table within this one has said already what is wrong, and where.
            raise nested if isinstance(nested, ZhiyinError) else ConfigError(*_first_problem(cls, error, where)) from None

    def digest(self) -> str:
        """16 hex digits of the class name and every value."""
        return digest_json({"class": type(self).__name__, **self.model_dump(mode="json")})


def _first_problem(cls: type[BaseModel], error: ValidationError, where: str) -> tuple[str, str]:
    first, *others = error.errors(include_url=False)
    several = first["loc"][-1:] and first["loc"][-1] in BRANCHES
    path = ".".join(str(part) for part in (first["loc"][:-1] if several else first["loc"]))
    place = f" in {where}" if where else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key '{path}'{place}", nearest(str(first["loc"][-1]), _known(cls, first["loc"]))
    if first["type"] == "missing":
        return f"key '{path}' is missing{place}", "Add it."
    if first["type"] in WORDS:
        same = [first, *(e for e in others if several and e["type"] in WORDS and e["loc"][:-1] == first["loc"][:-1])]
        wanted = " or ".join(dict.fromkeys(WORDS[e["type"]] for e in same))
        return f"'{path}'{place} must be {wanted}, not {first['input']!r}", ""
    said = first["msg"].removeprefix("Value error, ")
    given = f", not {first['input']!r}" if first["type"] != "value_error" else ""
    # What is wrong between several keys has no path of its own.
    subject = f"'{path}'{place}" if path else where or cls.__name__
    return f"{subject}: {said[0].lower() + said[1:]}{given}", ""


def _known(cls: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Field names at the place an unknown key stands."""
    for part in loc[:-1]:
        field = cls.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            continue
        cls = inner
    return [field.alias or name for name, field in cls.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
