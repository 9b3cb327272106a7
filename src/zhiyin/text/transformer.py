"""Any transformers model as a text encoder, in full precision: the reference, and the way to export.

Only this module and ``onnx_export.py`` import torch. Serving uses ``onnx.py``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.base.digest import digest_json
from zhiyin.base.errors import ConfigError
from zhiyin.text.encoder import EncoderState, unit_rows
from zhiyin.text.model_files import ModelFiles, Pooling


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A transformers model in memory, with pooling and length decided."""

    files: ModelFiles
    model: Any
    tokenizer: Any
    pooling: Pooling
    max_tokens: int


def load_model(files: ModelFiles) -> LoadedModel:
    """Read weights and tokenizer from disk, in float32, without touching the network.

    Pooling that is neither asked for nor declared is ``last`` for models that read left to right
    and ``mean`` for the others; of an encoder-decoder only the encoder is kept.
    Raises ``ConfigError`` when the folder cannot be read.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with warnings.catch_warnings():
        # transformers and the libraries it pulls in warn of their own deprecations; a caller cannot change them.
        warnings.simplefilter("ignore")
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as hub_logging

        quieten: Callable[[], None] = hub_logging.disable_progress_bar
        quieten()
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(files.folder))
            model = AutoModel.from_pretrained(str(files.folder), dtype=torch.float32).eval()
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ConfigError(f"the text model '{files.name}' cannot be read: {first}", "It needs config, weights and tokenizer.") from None
        causal = _reads_left_to_right(model)
    if model.config.is_encoder_decoder:
        model, causal = model.get_encoder(), False
    pooling: Pooling = files.pooling or ("last" if causal else "mean")
    max_tokens = files.max_tokens or min(int(tokenizer.model_max_length), _positions(model), 256)
    return LoadedModel(files, model, tokenizer, pooling, max_tokens)


class TransformerEncoder:
    """Full-precision vectors by torch. Choose it where the int8 export fails, or as the reference.

    Texts are batched by length so that little padding is computed; masks keep padding out of the
    pooling, so that a vector depends on its batch only by rounding (1e-6).
    """

    def __init__(self, files: ModelFiles, batch_size: int = 32, threads: int | None = None) -> None:
        self._files = files
        self._batch_size = batch_size
        self._threads = threads
        self.name = f"{files.name} (fp32)"

    @cached_property
    def _loaded(self) -> LoadedModel:
        return load_model(self._files)

    @property
    def dim(self) -> int:
        return int(self._loaded.model.config.hidden_size)

    @cached_property
    def fingerprint(self) -> str:
        return digest_json({"runtime": "fp32", "model": self._files.digest()})

    def encode(self, texts: Sequence[str]) -> Float32:
        out = np.zeros((len(texts), self.dim), np.float32)
        filled = [i for i, text in enumerate(texts) if text.strip()]
        tokens = self._tokens([texts[i] for i in filled])
        order = sorted(range(len(filled)), key=lambda at: len(tokens[at]))
        with _inference(self._threads):
            for start in range(0, len(order), self._batch_size):
                batch = order[start : start + self._batch_size]
                out[[filled[at] for at in batch]] = self._forward([tokens[at] for at in batch])
        return unit_rows(out)

    def _forward(self, rows: list[list[int]]) -> Float32:
        import torch

        longest = max(len(row) for row in rows)
        pad = self._loaded.tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        states = self._loaded.model(input_ids=ids, attention_mask=mask).last_hidden_state
        vectors: Float32 = pooled(states, mask, self._loaded.pooling).float().numpy()
        return vectors

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        rows: list[list[int]] = self._loaded.tokenizer(list(texts), truncation=True, max_length=self._loaded.max_tokens)["input_ids"]
        return rows

    def unknown_share(self, texts: Sequence[str]) -> float:
        unknown = self._loaded.tokenizer.unk_token_id
        read = [text for text in texts if text.strip()]
        if unknown is None or not read:
            return 0.0
        rows = self._loaded.tokenizer(read, add_special_tokens=False)["input_ids"]
        n = sum(len(row) for row in rows)
        return sum(row.count(unknown) for row in rows) / n if n else 0.0

    def describe(self) -> EncoderState:
        asked = {"pooling": self._files.pooling, "max_tokens": self._files.max_tokens}
        return EncoderState({}, {"encoder": "transformer", "model": self._files.name, "asked": asked, "fingerprint": self.fingerprint})


def pooled(states: Any, mask: Any, pooling: Pooling) -> Any:
    """States (n, length, dim) and mask (n, length), padded on the right -> (n, dim)."""
    import torch

    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        return states[torch.arange(len(states)), mask.sum(dim=1) - 1]
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


@contextmanager
def _inference(threads: int | None) -> Iterator[None]:
    """No gradients, and so many threads for this piece of work only."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def _reads_left_to_right(model: Any) -> bool:
    """Whether the architecture is a causal one (GPT, Llama, Qwen, ...)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = model.config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _positions(model: Any) -> int:
    """How many positions a model can read; models with relative positions do not say."""
    # RoBERTa-like models keep two of their positions for padding.
    return int(getattr(model.config, "max_position_embeddings", 0) or 514) - 2
