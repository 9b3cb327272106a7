"""Text vectors at serving: an int8 ONNX graph and a tokenizer file; neither torch nor transformers.

Each text runs alone. Dynamic int8 scales depend on everything in a batch, so only alone is a vector
a function of its text; nothing is padded, and on a CPU it is no slower (measured: 6.3 ms of CPU for
89 tokens, torch in batches of 32: 25 ms). CPUs without VNNI instructions may round differently.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zhiyin.base.arrays import Float32
from zhiyin.base.digest import digest_json
from zhiyin.base.errors import ModelFileError
from zhiyin.text.cache import cache_folder
from zhiyin.text.encoder import EncoderState, unit_rows
from zhiyin.text.model_files import ModelFiles

FORMAT = 1


def onnx_fingerprint(files: ModelFiles) -> str:
    """Of the int8 form of a model; known before the export is made."""
    return digest_json({"runtime": "onnx-int8", "format": FORMAT, "model": files.digest()})


def encoder_folder(fingerprint: str) -> Path:
    """Where the export with this fingerprint is kept, whether it exists or not."""
    return cache_folder() / "encoders" / fingerprint


class OnnxEncoder:
    """Reads an exported folder (``onnx_export.exported``). Choose it for serving and for catalogues."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        try:
            self._meta: dict[str, Any] = json.loads((folder / "encoder.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ModelFileError(f"the exported text encoder in '{folder}' cannot be read: {error}", "Delete the folder.") from None
        if self._meta.get("format") != FORMAT:
            raise ModelFileError(f"the exported text encoder in '{folder}' has another format", "Delete the folder; it is made again.")
        self._folder = folder
        self._threads = threads or min(4, os.cpu_count() or 1)
        self.name = f"{self._meta['model']} (int8)"
        self.dim = int(self._meta["dim"])
        self.fingerprint = str(self._meta["fingerprint"])

    @property
    def cosine_to_full(self) -> float:
        """How near the int8 vectors were to full precision when it was exported."""
        return float(self._meta["cosine_to_full"])

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread per text, several texts at once: better than several threads on one short text.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(str(self._folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exception classes are not importable by name
            raise ModelFileError(
                f"the exported text encoder in '{self._folder}' is damaged", "Delete the folder; it is made again."
            ) from error

    def encode(self, texts: Sequence[str]) -> Float32:
        out = np.zeros((len(texts), self.dim), np.float32)
        filled = [i for i, text in enumerate(texts) if text.strip()]
        if not filled:
            return out
        self._tokenizer.enable_truncation(int(self._meta["max_tokens"]))
        rows = [e.ids for e in self._tokenizer.encode_batch([texts[i] for i in filled])]
        session = self._session

        def vector(ids: list[int]) -> Float32:
            found: Float32 = session.run(None, {"ids": np.array([ids], np.int64)})[0][0]
            return found

        if len(rows) == 1 or self._threads == 1:
            out[filled] = [vector(ids) for ids in rows]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                out[filled] = list(pool.map(vector, rows))
        return unit_rows(out)

    def unknown_share(self, texts: Sequence[str]) -> float:
        unknown = self._meta["unknown_id"]
        read = [text for text in texts if text.strip()]
        if unknown is None or not read:
            return 0.0
        self._tokenizer.no_truncation()
        rows = [e.ids for e in self._tokenizer.encode_batch(read, add_special_tokens=False)]
        n = sum(len(row) for row in rows)
        return sum(row.count(unknown) for row in rows) / n if n else 0.0

    def describe(self) -> EncoderState:
        kept = {name: self._meta[name] for name in ("model", "fingerprint", "asked")}
        return EncoderState({}, {"encoder": "onnx", **kept})
