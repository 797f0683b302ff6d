"""Folders of transformers that are cut off, lie about themselves, or want more memory than they have bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechunits.errors import UserError
from speechunits.exchange.source import read_model
from tests.exchange.toy import folder, model


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return folder(model("hubert"), tmp_path / "in")


def settings(made: Path, **changes: Any) -> None:
    path = made / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(made: Path, says: str) -> None:
    with pytest.raises(UserError, match=says) as said:
        read_model(made)
    assert "\n" not in str(said.value) and str(said.value).startswith(str(made))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_hidden_layers": 2}, "says itself that num_hidden_layers is 2, and its weights have 3"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, and its weights have 3"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000, and its weights have 24"),
        ({"intermediate_size": 41}, "intermediate_size is 41, and its weights have 40"),
        ({"conv_kernel": [10, 3, 3, 3, 3, 2, 3]}, "conv_kernel is "),
        ({"conv_bias": True}, "conv_bias is True, and its weights have False"),
        ({"feat_extract_norm": "layer"}, "feat_extract_norm is 'layer', and its weights have 'group'"),
        ({"num_conv_pos_embeddings": 16}, "num_conv_pos_embeddings is 16, and its weights have 8"),
        ({"num_conv_pos_embedding_groups": 4}, "num_conv_pos_embedding_groups is 4, and its weights have 2"),
        ({"model_type": "wavlm"}, "num_buckets is 320, and its weights have None"),
        ({"model_type": ["hubert"]}, r"holds a '\['hubert'\]' model; what can be imported: hubert"),
        ({"num_attention_heads": 0}, "dim 24 does not divide into 0 heads"),
        ({"conv_stride": [5, 2, 2, 2, 2, 2, 0]}, "each must be at least 1"),
        ({"num_hidden_layers": "three"}, r"config\.json: refused by transformers \(.*num_hidden_layers"),
    ],
)
def test_settings_that_the_weights_deny(changes: dict[str, Any], says: str, made: Path) -> None:
    """Refused before a model of that size is made: 10**9 layers would take all memory."""
    settings(made, **changes)
    refused(made, says)


def _declare(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])


def test_a_header_that_lies(made: Path) -> None:
    path, bias = made / "model.safetensors", "encoder.layer_norm.bias"
    whole = path.read_bytes()
    _declare(path, lambda header: header[bias]["data_offsets"].__setitem__(1, 10**13))
    refused(made, r"model\.safetensors: truncated or damaged")
    path.write_bytes(whole)
    _declare(path, lambda header: header[bias].update(shape=[2**62, 2**62]))
    refused(made, r"model\.safetensors: truncated or damaged")
    path.write_bytes(struct.pack("<Q", 2**62) + whole[8:])
    refused(made, r"model\.safetensors: truncated or damaged")
    path.write_bytes(whole[: len(whole) // 2])
    refused(made, r"model\.safetensors: truncated or damaged")
    path.unlink()
    refused(made, r"half-written \(neither model\.safetensors nor pytorch_model\.bin\)")


def test_weights_in_pieces(made: Path) -> None:
    whole = load_file(made / "model.safetensors")
    (made / "model.safetensors").unlink()
    names = sorted(whole)
    files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: whole[name] for name in part}, made / file)
    index = made / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in files.items() for name in part}}))
    found = read_model(made).encoder
    assert torch.equal(found.encoder.norm.bias, whole["encoder.layer_norm.bias"])
    (made / "b.safetensors").unlink()
    refused(made, r"index\.json: names weights that are not in the folder")
    index.write_text(json.dumps({"weight_map": {"x": "../in/a.safetensors"}}))
    refused(made, r"index\.json: names weights that are not in the folder")


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 2, 2, 2)])
def test_weights_of_any_shape_are_refused_in_one_sentence(shape: tuple[int, ...], made: Path) -> None:
    whole = load_file(made / "model.safetensors")
    for name in whole:
        if whole[name].shape != shape:
            save_file({**whole, name: torch.zeros(shape)}, made / "model.safetensors")
            refused(made, ".")


def test_weights_that_are_missing_or_not_finite(made: Path) -> None:
    whole = load_file(made / "model.safetensors")
    save_file({n: t for n, t in whole.items() if n != "encoder.layers.1.layer_norm.bias"}, made / "model.safetensors")
    refused(made, r"1 weights are missing, encoder\.layers\.1\.attention_norm\.bias for one")
    whole["encoder.layer_norm.bias"][0] = float("nan")
    save_file(whole, made / "model.safetensors")
    refused(made, r"encoder\.norm\.bias holds NaN")
