"""Checkpoints of fairseq (and WavLM's own, which has its layout): HuBERT, wav2vec 2.0, data2vec, pre-trained or fine-tuned.

fairseq's dictionaries begin with four special symbols, so that unit u has row u + 4 of HuBERT's label embeddings: that is
undone here. What the checkpoint says of itself (``cfg``, or ``args`` before 2021) is read as data.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speechunits.errors import UserError
from speechunits.exchange.architecture import Found
from speechunits.exchange.inert_pickle import Inert
from speechunits.exchange.names import to_ours

SPECIALS = 4  # <s>, <pad>, </s>, <unk>
# Ours -> fairseq's.
_SETTINGS = {
    "heads": "encoder_attention_heads",
    "norm_first": "layer_norm_first",
    "furthest": "max_distance",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "layerdrop": "encoder_layerdrop",
    "projection_dropout": "dropout_input",
    "grad_scale": "feature_grad_mult",
    "mask_share": "mask_prob",
    "mask_length": "mask_length",
}


def _fields(value: Any) -> dict[str, Any]:
    """The entries of a mapping, a Namespace or an OmegaConf node, one level deep; {} of anything else."""
    if isinstance(value, Inert):
        value = value.state
    if isinstance(value, Mapping) and "_content" in value:  # OmegaConf
        value = value["_content"]
    return {k: _plain(v) for k, v in value.items() if isinstance(k, str)} if isinstance(value, Mapping) else {}


def _plain(value: Any) -> Any:
    """The value that an OmegaConf leaf or an enumeration stands for."""
    if isinstance(value, Inert) and isinstance(value.state, Mapping) and "_val" in value.state:
        value = value.state["_val"]
    if isinstance(value, Inert) and value.state is None and len(value.arguments) == 1:
        value = value.arguments[0]
    return value


def _configuration(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it says of the model and of the task; of the model inside, if it is fine-tuned."""
    top = _fields(checkpoint.get("cfg")) or _fields(checkpoint.get("args"))
    model, task = _fields(top["model"]) if "model" in top else top, _fields(top.get("task")) or top
    if inside := _fields(model.get("w2v_args")):
        inner = _fields(inside["model"]) if "model" in inside else inside
        return inner, {**task, "normalize": model.get("normalize", task.get("normalize"))}
    return model, task


def strides(layers: str) -> tuple[int, ...]:
    """Of fairseq's ``conv_feature_layers``: "[(512, 10, 5)] + [(512, 3, 2)] * 4" -> (5, 2, 2, 2, 2). Nothing is evaluated.

    Raises:
        ValueError: it is more than lists of three numbers, added and repeated.
    """

    def read(node: ast.AST) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [read(part) for part in node.elts]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return read(node.left) + read(node.right)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            part, times = read(node.left), read(node.right)
            if isinstance(part, list) and isinstance(times, int) and len(part) * times <= 100:
                return part * times
        raise ValueError(f"conv_feature_layers is {layers!r}, which is no list of (channels, kernel, stride)")

    try:
        return tuple(int(stride) for _, _, stride in read(ast.parse(layers, mode="eval").body))
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"conv_feature_layers is {layers!r}, which is no list of (channels, kernel, stride)"
        ) from error


def _without_specials(rows: Tensor, checkpoint: Mapping[str, Any]) -> Tensor:
    """Label embeddings (K + 4, D) -> (K, D), unit u in row u: by the checkpoint's dictionary if it has one."""
    dictionaries = _fields(checkpoint.get("task_state")).get("dictionaries") or [None]
    symbols = _fields(dictionaries[0]).get("symbols") or []
    units = [str(u) for u in range(len(rows) - SPECIALS)]
    if len(symbols) == len(rows) and set(units) <= set(symbols):
        return rows[[symbols.index(unit) for unit in units]]
    return rows[SPECIALS:]


def _is_cosine_head(ours: Mapping[str, Tensor], left: list[str], checkpoint: Mapping[str, Any]) -> bool:
    """Whether its output layer is HuBERT's with one codebook, which is what ``CosineHead`` computes."""
    if not {"head.codes.0", "head.projection.weight", "head.projection.bias"} <= ours.keys():
        return False
    dictionaries = _fields(checkpoint.get("task_state")).get("dictionaries") or [None]
    alike = ours["head.codes.0"].size(1) == len(ours["head.projection.weight"])  # not one projection for each codebook
    return alike and len(dictionaries) == 1 and not any(name.startswith("target_glu.") for name in left)


def read_fairseq(checkpoint: Mapping[str, Any], where: str) -> Found:
    """The model of a checkpoint that ``read_checkpoint`` gave.

    Raises:
        UserError: it is of another architecture.
    """
    weights = {n: t for n, t in _fields(checkpoint["model"]).items() if isinstance(t, Tensor)}
    ours, left = to_ours(weights, where)
    model, task = _configuration(checkpoint)
    if (activation := model.get("activation_fn", "gelu")) != "gelu":
        named = activation if isinstance(activation, str) else "no name"
        raise UserError(f"{where}: activation_fn is {named}, and speechunits has this model with gelu")
    said = {name: model.get(key) for name, key in _SETTINGS.items()}
    said["normalize_audio"] = task.get("normalize", model.get("normalize"))
    known: dict[str, Any] = {name: value for name, value in said.items() if isinstance(value, int | float)}
    if isinstance(layers := model.get("conv_feature_layers"), str):
        try:
            known["strides"] = strides(layers)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
    if _is_cosine_head(ours, left, checkpoint):
        ours["head.codes.0"] = _without_specials(ours["head.codes.0"], checkpoint)
    else:
        left = [*left, *(n for n in ours if n.startswith("head."))]
        ours = {n: t for n, t in ours.items() if not n.startswith("head.")}
    temperature = model.get("logit_temp")
    temperature = float(temperature) if isinstance(temperature, int | float) and temperature > 0 else 0.1
    names = [name for name in (model.get("_name"), model.get("arch")) if isinstance(name, str)]
    kind = " ".join(["fairseq", *names[:1]])
    return Found(where, kind, ours, known, usual=not model, left=left, temperature=temperature)
