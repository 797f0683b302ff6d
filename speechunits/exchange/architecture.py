"""The SpeechEncoder that foreign weights belong to: what their shapes tell, and the numbers that shapes do not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from speechunits.config import build
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.part import Tree

PARTS = {
    "frontend": "speechunits.frontends.conv.ConvFrontend",
    "projection": "speechunits.nn.projection.FeatureProjection",
    "masker": "speechunits.maskers.span.SpanMasker",
    "encoder": "speechunits.encoders.transformer.TransformerEncoder",
    "positions": "speechunits.nn.positions.ConvPositions",
    "stacked": "speechunits.nn.stacked_conv_positions.StackedConvPositions",
    "relative": "speechunits.nn.relative_positions.GatedRelativePositions",
    "all": "speechunits.encoder.SpeechEncoder",
    "head": "speechunits.heads.cosine.CosineHead",
}
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # of every published model of this family
HEADS = {768: 12, 1024: 16, 1280: 16}  # base, large, xlarge


@dataclass(frozen=True)
class Found:
    """What a reader found in a source.

    Args:
        where: the source, to begin sentences with.
        kind: what it is, in a few words.
        weights: by our names, those of a head under "head.".
        known: the ``Numbers`` that the source states.
        sizes: what it says of what its weights tell too: its name for it -> (place in ``encoder_tree``, value).
        usual: whether conventions may stand in for what it does not state.
        left: names of weights that have no place here.
        derived_from: fingerprints of artefacts of ours that it was made from.
        temperature: of its head.
    """

    where: str
    kind: str
    weights: Mapping[str, Tensor]
    known: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    usual: bool = False
    left: Sequence[str] = ()
    derived_from: Sequence[str] = ()
    temperature: float = 0.1


@dataclass(frozen=True)
class Numbers:
    """What the shapes of weights do not tell; the first four must be known, the others matter to training alone.

    Args:
        heads: of attention.
        strides: of the convolutions.
        norm_first: LayerNorm before each part of a layer.
        normalize_audio: every utterance to mean 0 and variance 1.
        normalize_eps, sample_rate, grad_scale: see ``ConvFrontend``.
        furthest: of relative positions, see ``GatedRelativePositions``.
        dropout, attention_dropout, activation_dropout, layerdrop: see ``TransformerEncoder``.
        projection_dropout, projection_norm: see ``FeatureProjection``.
        mask_share, mask_length, mask_minimum: see ``SpanMasker``.
    """

    heads: int
    strides: tuple[int, ...]
    norm_first: bool
    normalize_audio: bool
    normalize_eps: float = 1e-5
    sample_rate: int = 16000
    furthest: int = 800
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    layerdrop: float = 0.0
    projection_dropout: float = 0.0
    projection_norm: bool = True
    grad_scale: float = 1.0
    mask_share: float = 0.8
    mask_length: int = 10
    mask_minimum: int = 2


NEEDED = ("heads", "strides", "norm_first", "normalize_audio")


def settle(where: str, known: Mapping[str, Any], asked: Mapping[str, Any], usual: Mapping[str, Any]) -> Numbers:
    """The numbers that a source states, then those that the user gave, then those of convention.

    Raises:
        UserError: the user contradicts the source, or one that is needed stays unknown.
    """
    known = {k: v for k, v in known.items() if v is not None}
    asked = {k: v for k, v in asked.items() if v is not None}
    for name, value in asked.items():
        if known.get(name, value) != value:
            raise UserError(f"{where}: says itself that {name} is {known[name]}, not {value}; leave the option out")
    numbers = {**usual, **asked, **known}
    for name in NEEDED:
        if name not in numbers:
            option = f"--{name.replace('_', '-')}"
            option += f" or {option.replace('--', '--no-')}" if name in ("norm_first", "normalize_audio") else ""
            raise UserError(f"{where}: does not tell {name}, and the weights do not either; give {option}")
    return Numbers(**numbers)


def usual_numbers(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What holds of every published base, large and xlarge model, for weights that come without their configuration.

    Layer norm in the convolutions goes with norm first and with normalised audio; torchaudio's bundles are the same.
    """
    large = "frontend.blocks.1.norm.weight" in weights
    out: dict[str, Any] = {"norm_first": large, "normalize_audio": large}
    dim = len(weights["encoder.norm.weight"]) if "encoder.norm.weight" in weights else 0
    if "encoder.relative.gates.0.scale" in weights:
        out["heads"] = weights["encoder.relative.gates.0.scale"].numel()
    elif dim in HEADS:
        out["heads"] = HEADS[dim]
    if tuple(w.size(2) for w in _sizes(weights, "frontend.blocks.#.conv.weight")) == KERNELS:
        out["strides"] = STRIDES
    return out


def _sizes(weights: Mapping[str, Tensor], name: str) -> list[Tensor]:
    """All weights of one numbered name, in order."""
    pattern = re.compile(re.escape(name).replace(r"\#", r"(\d+)"))
    found = {int(m.group(1)): t for n, t in weights.items() if (m := pattern.fullmatch(n))}
    return [found[i] for i in sorted(found)]


def _positions(weights: Mapping[str, Tensor]) -> Tree:
    dim = len(weights["encoder.norm.weight"])
    if stacked := _sizes(weights, "encoder.positions.convs.#.weight"):
        _, width, kernel = stacked[0].shape
        return {"_target_": PARTS["stacked"], "depth": len(stacked), "kernel": kernel, "groups": dim // width}
    _, width, kernel = weights["encoder.positions.conv.parametrizations.weight.original1"].shape
    return {"_target_": PARTS["positions"], "kernel": kernel, "groups": dim // width}


def encoder_tree(weights: Mapping[str, Tensor], numbers: Numbers) -> Tree:
    """The configuration of the SpeechEncoder with these weights (by our names).

    Raises:
        KeyError: a weight that every such model has is missing.
        ValueError: the convolutions have unequal channels, which ours have not.
    """
    n, convolutions = numbers, _sizes(weights, "frontend.blocks.#.conv.weight")
    channels = {len(w) for w in convolutions}
    if len(channels) != 1:
        raise ValueError(f"its convolutions have {sorted(channels)} channels, and ours have the same number everywhere")
    frontend = {
        "_target_": PARTS["frontend"],
        "channels": channels.pop(),
        "kernels": [w.size(2) for w in convolutions],
        "strides": list(n.strides),
        "norm": "layer" if "frontend.blocks.1.norm.weight" in weights else "group",
        "bias": "frontend.blocks.0.conv.bias" in weights,
        "grad_scale": n.grad_scale,
        "sample_rate": n.sample_rate,
        "normalize_audio": n.normalize_audio,
        "normalize_eps": n.normalize_eps,
    }
    up = weights["encoder.layers.0.up.weight"]
    encoder = {
        "_target_": PARTS["encoder"],
        "depth": len(_sizes(weights, "encoder.layers.#.up.weight")),
        "dim": up.size(1),
        "ffn": up.size(0),
        "heads": n.heads,
        "dropout": n.dropout,
        "attention_dropout": n.attention_dropout,
        "activation_dropout": n.activation_dropout,
        "layerdrop": n.layerdrop,
        "norm_first": n.norm_first,
        "positions": _positions(weights),
    }
    if (table := weights.get("encoder.relative.table.weight")) is not None:
        encoder["relative"] = {"_target_": PARTS["relative"], "buckets": len(table), "furthest": n.furthest}
    tree = {"_target_": PARTS["all"], "frontend": frontend, "encoder": encoder}
    tree["projection"] = {"_target_": PARTS["projection"], "dropout": n.projection_dropout, "norm": n.projection_norm}
    if "masker.vector" in weights:
        spans = {"share": n.mask_share, "length": n.mask_length, "minimum": n.mask_minimum}
        tree["masker"] = {"_target_": PARTS["masker"], **spans}
    return tree


# What weights of impossible sizes make a constructor raise.
_MISFITS = (KeyError, IndexError, TypeError, ValueError, RuntimeError, ArithmeticError)


def _loaded(where: str, part: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """``part`` with these weights, in float32 and eval mode; all of them, and all finite."""
    if lacks := sorted(part.state_dict().keys() - weights.keys()):
        raise UserError(f"{where}: {len(lacks)} weights are missing, {lacks[0]} for one; get the model again")
    part.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    if bad := [name for name, tensor in part.state_dict().items() if not tensor.isfinite().all()]:
        raise UserError(f"{where}: {bad[0]} holds NaN or infinite weights; get the model again")
    return part.eval()


def build_encoder(found: Found, asked: Mapping[str, Any]) -> SpeechEncoder:
    """The SpeechEncoder with the weights that a reader found, float32 and in eval mode.

    Args:
        asked: see ``settle``.

    Raises:
        UserError: weights are missing, surplus, not finite, or of sizes that do not meet, or that the source denies.
    """
    weights = {n: t for n, t in found.weights.items() if not n.startswith("head.")}
    try:
        numbers = settle(found.where, found.known, asked, usual_numbers(weights) if found.usual else {})
        tree = encoder_tree(weights, numbers)
        for name, (place, said) in found.sizes.items():
            value: Any = tree
            for key in place.split("."):
                value = (value or {}).get(key)
            if value != said:
                raise UserError(f"says itself that {name} is {said!r}, and its weights have {value!r}; get it again")
        return _loaded(found.where, build(tree), weights)  # type: ignore[return-value]
    except UserError as error:
        why = "; ".join(getattr(error, "mistakes", [str(error)])).removeprefix(f"{found.where}: ")
        raise UserError(f"{found.where}: {why}") from error
    except _MISFITS as error:
        why = f"the weight {error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())[:300]
        raise UserError(f"{found.where}: incomplete, or of another architecture than it says ({why})") from error


def build_head(found: Found) -> nn.Module | None:
    """HuBERT's output layer of K codes, where the reader found one.

    Raises:
        UserError: its weights do not meet or are not finite.
    """
    weights = {n.removeprefix("head."): t for n, t in found.weights.items() if n.startswith("head.")}
    if "codes.0" not in weights:
        return None
    try:
        (size, features), dim = weights["codes.0"].shape, weights["projection.weight"].size(1)
        node = {"_target_": PARTS["head"], "features": features, "temperature": found.temperature}
        return _loaded(f"{found.where} (head)", build(node, dim=dim, vocab=(size,)), weights)
    except _MISFITS as error:
        raise UserError(
            f"{found.where}: its output layer is incomplete ({' '.join(str(error).split())[:300]})"
        ) from error
