"""From what a person writes (a name, a TOML file) to a spec; and the quick variant of any spec."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.data.dataset import Dataset
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec, default_parts
from zhiyin.models.roles import ModelSpec
from zhiyin.models.two_stage import TwoStageSpec


def read_spec(said: str) -> ModelSpec:
    """``"ease"``, or the path of a TOML file with a ``kind`` and the settings of that model.

        kind = "ease"
        l2 = 100.0

    Raises ``UnknownNameError`` for a name nobody registered, ``ConfigError`` for a bad file.
    """
    if not said.endswith(".toml"):
        return spec_of(said)
    path = Path(said)
    if not path.is_file():
        raise MissingDataError(f"there is no file '{said}'", "Give a model's name, or a TOML file with a 'kind'.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{said}' is not TOML: {error}", "See zhiyin models for what can be set.") from None
    return spec_of(values, said)


def quick_spec(spec: ModelSpec, data: Dataset) -> ModelSpec:
    """The same model with settings for a first look at this data; the parts of a blend are quickened.

    Values that were set on purpose stay.
    """
    if isinstance(spec, BlendSpec):
        parts = spec.parts or default_parts(data)
        return spec.model_copy(update={"parts": tuple({**quick_settings(part.get("kind", ""), data), **part} for part in parts)})
    if isinstance(spec, TwoStageSpec):
        first = quick_spec(spec_of(spec.first), data)
        # Only what was said or quickened: a search may still choose the rest.
        return spec.model_copy(update={"first": {"kind": first.kind, **first.model_dump(mode="json", exclude_unset=True)}})
    own = {key: value for key, value in quick_settings(spec.kind, data).items() if key not in spec.model_fields_set}
    return spec.model_copy(update=own) if own else spec


def quick_settings(kind: str, data: Dataset) -> dict[str, Any]:
    """What takes a minute where the defaults take an hour; nothing for models that are quick anyway."""
    if kind == "factors":
        return {"dim": 32, "epochs": 8}
    if kind != "sequence":
        return {}
    # A few hundred people make a few dozen batches of 32: too few steps to learn anything from.
    small = data.n_users < 2_000
    epochs = int(np.clip(600_000 // max(len(data.events), 1), 3, 12))
    return {
        "dim": 64,
        "max_len": 50,
        "dropout": 0.2,
        "epochs": epochs,
        "batch_size": 8 if small else 32,
        "shared_items": small,
        "patience": 2,
    }
