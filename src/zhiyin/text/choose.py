"""Which encoder reads this text: the language model where it can, the catalogue's own words where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zhiyin.base.errors import ModelFileError, ZhiyinError, nearest
from zhiyin.text.catalogue import CatalogueEncoder, fit_catalogue
from zhiyin.text.encoder import EncoderState, TextEncoder
from zhiyin.text.joint import JointEncoder, part_states
from zhiyin.text.model_files import PACKAGED, ModelFiles, Pooling, find_model
from zhiyin.text.onnx import OnnxEncoder, encoder_folder, onnx_fingerprint

CATALOGUE = "catalogue"
"""The name that asks for an encoder trained on the catalogue; ``NAME+catalogue`` asks for both."""

UNREADABLE_SHARE = 0.15
"""Above this share of [UNK] tokens the catalogue-trained encoder takes over."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder and one sentence why; ``unknown_share`` is that of the language model asked for."""

    encoder: TextEncoder
    reason: str
    unknown_share: float = 0.0


def open_encoder(name: str = PACKAGED, pooling: Pooling | None = None, max_tokens: int | None = None, threads: int | None = None) -> Choice:
    """A language model by name, folder or hub name: int8 ONNX, else full precision, said in ``reason``.

    The first call for a model exports it (seconds, needs torch); later ones only read the cache.
    Raises ``MissingDataError`` when there is no such model, ``ConfigError`` when it cannot be read.
    """
    return _open(find_model(name, pooling, max_tokens), threads)


def _open(files: ModelFiles, threads: int | None) -> Choice:
    folder = encoder_folder(onnx_fingerprint(files))
    if not (folder / "encoder.json").is_file():
        from zhiyin.text.onnx_export import ExportError, exported
        from zhiyin.text.transformer import TransformerEncoder

        try:
            folder = exported(files)
        except ExportError as error:
            return Choice(TransformerEncoder(files, threads=threads), f"{error.message}: full precision by torch, slower")
    encoder = OnnxEncoder(folder, threads)
    return Choice(encoder, f"{files.name} as int8 ONNX, cosine {encoder.cosine_to_full:.3f} to full precision")


def choose_encoder(
    texts: Sequence[str],
    name: str = PACKAGED,
    *,
    pooling: Pooling | None = None,
    max_tokens: int | None = None,
    threshold: float = UNREADABLE_SHARE,
    sample: int = 2000,
    seed: int = 0,
) -> Choice:
    """The named language model, unless it cannot read these texts: then one learned from them.

    ``catalogue`` asks for the latter at once, ``minilm+catalogue`` for both side by side. The share
    of unknown tokens is measured on at most ``sample`` evenly spaced texts.
    """
    filled = [text for text in texts if text.strip()]
    if name == CATALOGUE:
        return Choice(fit_catalogue(filled, seed=seed), "an encoder trained on this catalogue, as asked")
    model, _, rest = name.partition("+")
    joint = rest == CATALOGUE
    choice = open_encoder(model if joint else name, pooling, max_tokens)
    share = choice.encoder.unknown_share(filled[:: max(1, len(filled) // sample)])
    if filled and share > threshold:
        said = f"{model if joint else name} cannot read {share:.0%} of the tokens of this catalogue"
        return Choice(fit_catalogue(filled, seed=seed), f"{said}, so an encoder trained on the catalogue itself took over", share)
    reason = f"{choice.reason}; {share:.1%} of tokens unknown"
    if joint:
        both = JointEncoder([choice.encoder, fit_catalogue(filled, seed=seed)])
        return Choice(both, f"{reason}; beside an encoder trained on this catalogue", share)
    return Choice(choice.encoder, reason, share)


def restore_encoder(state: EncoderState, threads: int | None = None) -> TextEncoder:
    """The encoder a bundle describes; its vectors are those stored beside it, or it raises.

    An exported model that is in this machine's cache is opened without torch; otherwise it is
    exported again from the model's name. Raises ``ModelFileError`` when the model has changed.
    """
    meta = state.meta
    found = _restored(str(meta.get("encoder")), state, threads)
    if found.fingerprint != meta["fingerprint"]:
        raise ModelFileError(
            f"the text encoder '{found.name}' on this machine is not the one this model was trained with",
            "Put the same model files in place, or train again.",
        )
    return found


def _restored(kind: str, state: EncoderState, threads: int | None) -> TextEncoder:
    meta = state.meta
    match kind:
        case "catalogue":
            return CatalogueEncoder.restore(state)
        case "joint":
            return JointEncoder([restore_encoder(part, threads) for part in part_states(state)])
        case "onnx":
            folder = encoder_folder(str(meta["fingerprint"]))
            return OnnxEncoder(folder, threads) if (folder / "encoder.json").is_file() else _found_again(state, threads)
        case "transformer":
            from zhiyin.text.transformer import TransformerEncoder

            return TransformerEncoder(find_model(str(meta["model"]), **meta["asked"]), threads=threads)
        case _:
            raise ModelFileError(f"no text encoder is of kind '{kind}'", nearest(kind, ["catalogue", "joint", "onnx", "transformer"]))


def _found_again(state: EncoderState, threads: int | None) -> TextEncoder:
    meta = state.meta
    try:
        return _open(find_model(str(meta["model"]), **meta["asked"]), threads).encoder
    except ModelFileError:
        raise
    except ZhiyinError as error:
        raise ModelFileError(f"the text encoder '{meta['model']}' of this model cannot be opened: {error.message}", error.hint) from None
