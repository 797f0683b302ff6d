"""Folders of transformers: HubertModel, Wav2Vec2Model, WavLMModel and Data2VecAudioModel in, a SpeechEncoder out.

``hidden_states[i]`` there is ``layer:i`` here, and ``last_hidden_state`` is ``final``. Norm-first models normalise
``final`` alone: transformers before version 5 put that in the place of the last hidden state too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speechunits import __version__, store
from speechunits.encoder import SpeechEncoder
from speechunits.encoders.transformer import TransformerEncoder
from speechunits.errors import UserError
from speechunits.exchange.architecture import Found
from speechunits.exchange.names import to_ours, to_transformers
from speechunits.exchange.weights_file import read_tensors
from speechunits.frontends.conv import ConvFrontend
from speechunits.maskers.span import SpanMasker
from speechunits.nn import hf
from speechunits.nn.positions import ConvPositions
from speechunits.nn.projection import FeatureProjection
from speechunits.nn.relative_positions import GatedRelativePositions
from speechunits.nn.stacked_conv_positions import StackedConvPositions

# Ours -> theirs; what a kind of model lacks it has at our default.
_SETTINGS = {
    "heads": "num_attention_heads",
    "furthest": "max_bucket_distance",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layerdrop": "layerdrop",
    "projection_dropout": "feat_proj_dropout",
    "projection_norm": "feat_proj_layer_norm",
    "mask_share": "mask_time_prob",
    "mask_length": "mask_time_length",
    "mask_minimum": "mask_time_min_masks",
}
# Place in our tree -> theirs: what must be as the weights are. (Kernel and depth of positions: see ``_sizes``.)
_SIZES = {
    "encoder.depth": "num_hidden_layers",
    "encoder.dim": "hidden_size",
    "encoder.ffn": "intermediate_size",
    "frontend.kernels": "conv_kernel",
    "frontend.norm": "feat_extract_norm",
    "frontend.bias": "conv_bias",
    "encoder.positions.groups": "num_conv_pos_embedding_groups",
    "encoder.relative.buckets": "num_buckets",
}
# What our parts are built with and have no argument for.
_FIXED = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
    "conv_pos_batch_norm": False,
    "add_adapter": False,
    "adapter_attn_dim": None,
}
_EPS = 1e-7  # under the root of Wav2Vec2FeatureExtractor


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); get the folder again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: holds no settings; get the folder again")
    return value


def _listens(folder: Path) -> dict[str, Any]:
    """What is said of the audio; transformers 5 also writes it into ``processor_config.json``."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            said = _json(folder / name)
            said = said.get("feature_extractor", said)
            eps = {"normalize_eps": _EPS, "sample_rate": said.get("sampling_rate", 16000)}
            return {"normalize_audio": bool(said.get("do_normalize", True)), **eps}
    return {"normalize_eps": _EPS}


def kind_of(folder: Path, where: str) -> str:
    """The kind of model (a key of ``hf.MODELS``) in a folder.

    Raises:
        UserError: another kind, or no folder of transformers.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{where}: no folder of transformers (config.json is missing); give one that is whole, or a file"
        )
    kind = _json(folder / "config.json").get("model_type")
    if kind not in list(hf.MODELS):  # a list: what is no string may have no hash
        raise UserError(f"{where}: holds a '{kind}' model; what can be imported: {', '.join(hf.MODELS)}")
    return str(kind)


def _sizes(settings: Mapping[str, Any], kind: str) -> dict[str, tuple[str, Any]]:
    stacked = kind == "data2vec-audio"
    positions = {"encoder.positions.depth" if stacked else "encoder.positions.kernel": "num_conv_pos_embeddings"}
    positions |= {"encoder.positions.kernel": "conv_pos_kernel_size"} if stacked else {}
    said = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    return {name: (place, said[name]) for place, name in {**_SIZES, **positions}.items() if name in said}


def _files(folder: Path, where: str) -> list[Path]:
    """The files of its weights, whole or in pieces, in the order in which transformers looks for them."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        if (index := folder / f"{name}.index.json").is_file():
            pieces = _json(index).get("weight_map")
            names = {str(piece) for piece in pieces.values()} if isinstance(pieces, dict) else set()
            if not names or any(Path(piece).name != piece or not (folder / piece).is_file() for piece in names):
                raise UserError(f"{index}: names weights that are not in the folder; get the folder again")
            return [folder / piece for piece in sorted(names)]
    raise UserError(f"{where}: half-written (neither model.safetensors nor pytorch_model.bin); get it again")


def _weights(folder: Path, where: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for path in _files(folder, where):
        held = read_tensors(path)
        items = held.items() if isinstance(held, Mapping) else ()
        weights |= {n: t for n, t in items if isinstance(n, str) and isinstance(t, Tensor)}
    return weights


def read_folder(folder: Path, where: str) -> Found:
    """The model in a folder that ``save_pretrained`` wrote; nothing is fetched.

    Raises:
        UserError: half-written or damaged, another kind of model, or one with a part that speechunits does not have.
    """
    kind = kind_of(folder, where)
    try:
        settings = hf.read_config(folder, kind)
        for name, value in _FIXED.items():
            if settings.get(name, value) != value:
                raise UserError(
                    f"{where}: {name} is {settings[name]!r}, and speechunits has this model only with {value!r}"
                )
    except UserError:
        raise
    except Exception as error:  # transformers raises many kinds
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{where}/config.json: refused by transformers ({why}); get the folder again") from error
    ours, left = to_ours(_weights(folder, where), where)
    known = {name: settings.get(key) for name, key in _SETTINGS.items()}
    known |= {"norm_first": settings.get("do_stable_layer_norm", False), "strides": tuple(settings["conv_stride"])}
    said = settings.get("speechunits")
    parents = said.get("derived_from", []) if isinstance(said, dict) else []
    parents = [parent for parent in parents if isinstance(parent, str)] if isinstance(parents, list) else []
    known |= _listens(folder)
    return Found(where, f"transformers {kind}", ours, known, _sizes(settings, kind), left=left, derived_from=parents)


def _expect(slot: str, part: object, *kinds: type) -> None:
    if type(part) not in kinds:
        found = "none" if part is None else type(part).__name__
        held = " or ".join(kind.__name__ for kind in kinds)
        raise UserError(f"transformers has no model with the {slot} {found}: only encoders with {held} can be exported")


def _layers(inner: TransformerEncoder) -> dict[str, Any]:
    first = inner.layers[0]
    return {
        "hidden_size": inner.dim,
        "num_hidden_layers": inner.depth,
        "num_attention_heads": first.attention.heads,
        "intermediate_size": first.up.out_features,
        "hidden_dropout": inner.dropout.p,
        "attention_dropout": first.attention.dropout,
        "activation_dropout": first.activation_dropout.p,
        "layerdrop": inner.layerdrop,
    }


def _convolutions(frontend: ConvFrontend) -> dict[str, Any]:
    return {
        "conv_dim": [frontend.dim] * len(frontend.kernels),
        "conv_kernel": list(frontend.kernels),
        "conv_stride": list(frontend.strides),
        "conv_bias": frontend.blocks[0].conv.bias is not None,
    }


def _between(projection: FeatureProjection, kind: str) -> dict[str, Any]:
    if isinstance(projection.norm, nn.LayerNorm):
        return {"feat_proj_dropout": projection.dropout.p}
    if kind != "hubert":
        raise UserError(
            f"transformers has no {kind} model without a norm in the projection: this encoder cannot be exported"
        )
    return {"feat_proj_dropout": projection.dropout.p, "feat_proj_layer_norm": False}


def _mask(masker: object) -> dict[str, Any]:
    if (
        type(masker) is not SpanMasker
    ):  # others have no place there, and none of them changes what a finished model gives
        return {"mask_time_prob": 0.0}
    spans = masker.time
    return {"mask_time_prob": spans.share, "mask_time_length": spans.length, "mask_time_min_masks": spans.minimum}


def _positions(inner: TransformerEncoder, norm: str) -> tuple[str, dict[str, Any]]:
    """The kind of model that has such positions, and their settings."""
    relative = inner.relative
    if relative is not None:
        _expect("relative positions", relative, GatedRelativePositions)
    if type(inner.positions) is StackedConvPositions:
        if norm == "group" or inner.norm_first or relative is not None:
            raise UserError(
                "transformers has StackedConvPositions only together with layer norm in the convolutions, norm_first "
                "false and no relative positions: this encoder cannot be exported"
            )
        convs = inner.positions.convs
        stack = {"num_conv_pos_embeddings": len(convs), "conv_pos_kernel_size": convs[0].kernel_size[0]}
        return "data2vec-audio", {**stack, "num_conv_pos_embedding_groups": convs[0].groups}
    _expect("positions", inner.positions, ConvPositions, StackedConvPositions)
    settings = {
        "feat_extract_norm": norm,
        "do_stable_layer_norm": inner.norm_first,
        "num_conv_pos_embeddings": inner.positions.conv.kernel_size[0],
        "num_conv_pos_embedding_groups": inner.positions.conv.groups,
    }
    if relative is None:
        return "hubert", settings
    return "wavlm", {**settings, "num_buckets": relative.buckets, "max_bucket_distance": relative.furthest}


def settings_of(encoder: SpeechEncoder) -> tuple[str, dict[str, Any]]:
    """The kind of model (a key of ``hf.MODELS``) that computes what ``encoder`` does, and its settings.

    Raises:
        UserError: there is none; the sentence names the part.
    """
    frontend, projection, inner = encoder.frontend, encoder.projection, encoder.encoder
    _expect("frontend", frontend, ConvFrontend)
    _expect("projection", projection, FeatureProjection)
    _expect("encoder", inner, TransformerEncoder)
    norm = "layer" if isinstance(frontend.blocks[0].norm, nn.LayerNorm) else "group"
    kind, positions = _positions(inner, norm)
    between = _between(projection, kind)  # type: ignore[arg-type]
    return kind, {**_layers(inner), **_convolutions(frontend), **between, **positions, **_mask(encoder.masker)}


def write_folder(folder: str | Path, out: Path) -> str:
    """Export the encoder in ``folder`` as the folder ``out`` of transformers, replaced whole; the kind of model.

    ``config.json`` keeps under "speechunits" what it was made from.

    Raises:
        UserError: transformers has no such model.
    """
    encoder: SpeechEncoder = store.restore(folder, expect=SpeechEncoder)
    kind, settings = settings_of(encoder)
    weights: Mapping[str, Any] = to_transformers(
        {n: t for n, t in encoder.state_dict().items() if not n.startswith("masker.") or settings["mask_time_prob"]}
    )
    settings["speechunits"] = {"version": __version__, "derived_from": [encoder.fingerprint]}
    frontend = encoder.frontend
    listens = {
        "do_normalize": frontend.normalize_audio,
        "sampling_rate": int(1 / frontend.rate),
        "return_attention_mask": settings.get("feat_extract_norm") != "group",
    }
    with store.writing(out) as aside:
        aside.mkdir()
        hf.write_model(aside, kind, settings, weights, listens)
    return kind
