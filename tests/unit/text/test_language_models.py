"""MiniLM and any other local model: full precision, int8, and what happens when one is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zhiyin.base.errors import ConfigError, MissingDataError, ModelFileError
from zhiyin.text import onnx_export
from zhiyin.text.choose import open_encoder, restore_encoder
from zhiyin.text.encoder import EncoderState
from zhiyin.text.model_files import find_model
from zhiyin.text.onnx import OnnxEncoder
from zhiyin.text.transformer import TransformerEncoder

TEXTS = [
    "a cordless drill with two batteries",
    "an electric screwdriver and power tool set",
    "poems about love and the sea",
    "",
    "a long text " * 40,
]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(scope="module")
def full() -> TransformerEncoder:
    return TransformerEncoder(find_model("minilm"))


def test_like_texts_are_near(full: TransformerEncoder) -> None:
    drill, screwdriver, poems, empty, _ = full.encode(TEXTS)
    assert drill @ screwdriver > 0.4 > 0.1 > drill @ poems
    assert full.dim == 384 and not empty.any()
    assert full.encode([]).shape == (0, 384)


def test_int8_is_full_precision_but_faster(full: TransformerEncoder) -> None:
    choice = open_encoder()
    assert isinstance(choice.encoder, OnnxEncoder) and "as int8 ONNX, cosine 0.99" in choice.reason
    vectors = choice.encoder.encode(TEXTS)
    cosine = (vectors * full.encode(TEXTS)).sum(axis=1)
    assert (cosine[[0, 1, 2, 4]] > 0.98).all() and not vectors[3].any()
    assert choice.encoder.fingerprint != full.fingerprint


def test_a_vector_does_not_depend_on_its_batch(full: TransformerEncoder) -> None:
    order = [4, 2, 0, 3, 1]
    shuffled = [TEXTS[i] for i in order]
    np.testing.assert_allclose(full.encode(shuffled), full.encode(TEXTS)[order], atol=2e-6)
    int8 = open_encoder().encoder
    np.testing.assert_array_equal(int8.encode(shuffled), int8.encode(TEXTS)[order])
    np.testing.assert_array_equal(np.vstack([int8.encode([t]) for t in TEXTS]), int8.encode(TEXTS))


def test_what_it_cannot_read(full: TransformerEncoder) -> None:
    for encoder in (full, open_encoder().encoder):
        assert encoder.unknown_share(["这家酒店的服务很好，房间干净"]) > 0.5
        assert encoder.unknown_share(["hello world", ""]) == 0.0
        assert encoder.unknown_share([]) == 0.0


def test_serving_needs_no_torch() -> None:
    open_encoder()
    code = (
        "import sys; from zhiyin.text.choose import open_encoder; open_encoder().encoder.encode(['x']);"
        "print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    raw.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]", model_max_length=32)


def _saved(folder: Path, kind: str) -> str:
    """A tiny multilingual model with random weights, as any hub model lies in a folder."""
    import torch
    from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, T5Config, T5Model

    torch.manual_seed(0)
    tokenizer = _tokenizer(["羊毛围巾 保暖", "red woollen scarf", "bufanda de lana roja", "苹果 水果"])
    n = len(tokenizer)
    if kind == "bert":
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        model: Any = BertModel(BertConfig(vocab_size=n, max_position_embeddings=40, **sizes))
    elif kind == "gpt2":
        model = GPT2Model(GPT2Config(vocab_size=n, n_embd=16, n_layer=2, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0))
    else:
        model = T5Model(T5Config(vocab_size=n, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("kind", "pooling"), [("bert", "mean"), ("gpt2", "last"), ("t5", "mean")])
def test_any_local_model(tmp_path: Path, kind: str, pooling: str) -> None:
    name = _saved(tmp_path / kind, kind)
    texts = ["羊毛围巾", "red scarf", "lana"]
    full = TransformerEncoder(find_model(name), batch_size=2)
    vectors = full.encode(texts)
    assert full._loaded.pooling == pooling and vectors.shape == (3, 16)
    np.testing.assert_allclose(vectors, np.vstack([full.encode([t]) for t in texts]), atol=2e-6)
    np.testing.assert_allclose(vectors, _by_hand(full, texts, pooling), atol=2e-6)
    choice = open_encoder(name)
    assert (choice.encoder.encode(texts) * vectors).sum(axis=1).min() > 0.95
    restored = restore_encoder(choice.encoder.describe())
    np.testing.assert_array_equal(restored.encode(texts), choice.encoder.encode(texts))


def _by_hand(encoder: TransformerEncoder, texts: list[str], pooling: str) -> Any:
    import torch

    loaded, rows = encoder._loaded, []
    for text in texts:
        with torch.no_grad():
            states = loaded.model(input_ids=torch.tensor([loaded.tokenizer(text)["input_ids"]])).last_hidden_state[0].numpy()
        row = {"mean": states.mean(axis=0), "cls": states[0], "last": states[-1]}[pooling]
        rows.append(row / np.linalg.norm(row))
    return np.stack(rows)


def test_pooling_is_a_choice_with_its_own_fingerprint(tmp_path: Path) -> None:
    name = _saved(tmp_path, "bert")
    seen = set()
    for pooling in ("mean", "cls", "last"):
        encoder = TransformerEncoder(find_model(name, pooling))
        np.testing.assert_allclose(encoder.encode(["red scarf"]), _by_hand(encoder, ["red scarf"], pooling), atol=2e-6)
        seen.add(encoder.fingerprint)
    assert len(seen) == 3


def test_a_failed_export_falls_back_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = _saved(tmp_path, "bert")

    def broken(*_: object) -> None:
        raise RuntimeError("operator 'odd' is not supported.\nmore")

    monkeypatch.setattr(onnx_export, "_trace", broken)
    choice = open_encoder(name)
    assert isinstance(choice.encoder, TransformerEncoder)
    assert choice.reason.endswith("operator 'odd' is not supported: full precision by torch, slower")
    restored = restore_encoder(choice.encoder.describe())
    np.testing.assert_array_equal(restored.encode(["lana"]), choice.encoder.encode(["lana"]))
    monkeypatch.setattr(onnx_export, "_cosine_to_full", lambda *_: 0.5)
    monkeypatch.setattr(onnx_export, "_trace", lambda *_: None)
    monkeypatch.setattr(onnx_export, "_quantise", lambda source, target: source.touch())
    assert "have cosine 0.500 to full precision" in open_encoder(name).reason


def test_other_weights_are_another_encoder(tmp_path: Path) -> None:
    name = _saved(tmp_path / "m", "bert")
    state = open_encoder(name).encoder.describe()
    config = tmp_path / "m" / "config.json"
    config.write_text(config.read_text().replace('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-3'))
    assert find_model(name).digest() != state.meta["fingerprint"]
    moved = EncoderState({}, {**state.meta, "fingerprint": "0" * 16})
    with pytest.raises(ModelFileError, match="is not the one this model was trained with"):
        restore_encoder(moved)


def test_errors_name_place_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there is no model folder '\./nowhere'"):
        open_encoder("./nowhere")
    with pytest.raises(MissingDataError, match=r"no text model 'some/hub-model' on this machine.*HF_HUB_OFFLINE=0"):
        open_encoder("some/hub-model")
    with pytest.raises(MissingDataError, match=r"has no config\.json"):
        open_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        open_encoder(str(tmp_path))
    (tmp_path / "sentence_bert_config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"sentence_bert_config\.json of the model folder is not JSON"):
        open_encoder(str(tmp_path))
    with pytest.raises(ModelFileError, match="no text encoder is of kind 'onyx'"):
        restore_encoder(EncoderState({}, {"encoder": "onyx", "fingerprint": ""}))


def test_a_damaged_export_says_what_to_do(tmp_path: Path) -> None:
    name = _saved(tmp_path, "bert")
    encoder = open_encoder(name).encoder
    assert isinstance(encoder, OnnxEncoder)
    (encoder._folder / "model.onnx").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"is damaged \(E400\)\. Delete the folder"):
        OnnxEncoder(encoder._folder).encode(["a"])
    (encoder._folder / "encoder.json").write_text('{"format": 99}')
    with pytest.raises(ModelFileError, match="has another format"):
        OnnxEncoder(encoder._folder)
