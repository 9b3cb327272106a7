"""From a transformers model to an int8 ONNX folder, once: torch here, never at serving.

The graph takes one text (1, n_tokens) and gives its unit vector (1, dim): pooling is inside, and no
padding exists. It is quantised dynamically, weights per channel: a quarter of the size, about four
times the speed of torch on this kind of CPU, cosine .993 to full precision.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from zhiyin.base.errors import ZhiyinError
from zhiyin.text.model_files import ModelFiles
from zhiyin.text.onnx import FORMAT, OnnxEncoder, encoder_folder, onnx_fingerprint
from zhiyin.text.transformer import LoadedModel, TransformerEncoder, load_model, pooled

_PROBES = (
    "A cordless drill with two batteries and a carrying case",
    "Fresh organic apples, 1 kg",
    "the quiet story of two sisters who grow up by the sea and never speak of the war",
    "wireless headphones; noise cancelling; 30 hours",
)
_LEAST_COSINE = 0.95


class ExportError(ZhiyinError, RuntimeError):
    """A model that ONNX cannot express, or whose int8 form is too far from the original."""

    code = "E510"


def exported(files: ModelFiles) -> Path:
    """The ONNX folder of a model, made at the first call and found at every later one.

    Raises ``ExportError`` when the model cannot be exported, or when the int8 vectors are further
    than cosine .95 (mean over a few sentences) from the original.
    """
    final = encoder_folder(onnx_fingerprint(files))
    if (final / "encoder.json").is_file():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=final.parent))
    try:
        _export_into(work, files)
        try:
            work.replace(final)
        except OSError:
            # Another process finished the same export first; its folder has the same content.
            if not (final / "encoder.json").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _export_into(folder: Path, files: ModelFiles) -> None:
    loaded = load_model(files)
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(f"the tokenizer of '{files.name}' has no fast form", "Full precision is used instead.")
    backend.save(str(folder / "tokenizer.json"))
    try:
        _trace(loaded, folder / "full.onnx")
        _quantise(folder / "full.onnx", folder / "model.onnx")
    except Exception as error:  # torch and onnx raise dozens of kinds; each means "no int8 for this one"
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ExportError(f"'{files.name}' cannot be exported to ONNX: {first}", "Full precision is used instead.") from error
    (folder / "full.onnx").unlink()
    tokenizer = loaded.tokenizer
    meta = {
        "format": FORMAT, "model": files.name, "fingerprint": onnx_fingerprint(files), "dim": int(loaded.model.config.hidden_size),
        "pooling": loaded.pooling, "max_tokens": loaded.max_tokens, "unknown_id": tokenizer.unk_token_id,
        "asked": {"pooling": files.pooling, "max_tokens": files.max_tokens},
    }  # fmt: skip
    _write_json(folder / "encoder.json", meta)
    cosine = _cosine_to_full(folder, files)
    if not cosine >= _LEAST_COSINE:
        raise ExportError(f"int8 vectors of '{files.name}' have cosine {cosine:.3f} to full precision", "Full precision is used instead.")
    _write_json(folder / "encoder.json", {**meta, "cosine_to_full": round(cosine, 4)})


def _trace(loaded: LoadedModel, path: Path) -> None:
    import torch

    class OneText(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded.model

        def forward(self, ids: Any) -> Any:
            mask = torch.ones_like(ids)
            vector = pooled(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask, loaded.pooling)
            return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-12)

    example = torch.tensor([loaded.tokenizer(_PROBES[0])["input_ids"]])
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter needs no further package than onnx; it warns that it is the older of the
        # two and of shape checks that become constants, which the cosine check below would show.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            OneText().eval(), (example,), str(path), input_names=["ids"], output_names=["vector"],
            dynamic_axes={"ids": {1: "n_tokens"}}, opset_version=17, dynamo=False,
        )  # fmt: skip


def _quantise(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The quantiser advises, through the root logger, a pre-processing that gains nothing here.
    quiet = logging.getLogger()
    quiet.addFilter(_no_advice)
    try:
        quantize_dynamic(str(source), str(target), per_channel=True, weight_type=QuantType.QInt8)
    finally:
        quiet.removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _cosine_to_full(folder: Path, files: ModelFiles) -> float:
    int8, full = OnnxEncoder(folder).encode(_PROBES), TransformerEncoder(files).encode(_PROBES)
    return float(np.mean(np.sum(int8 * full, axis=1)))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1), "utf-8")
    part.replace(path)
