"""Checkpoints in fairseq's layout, written from random weights, against the same weights run through transformers."""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf

from speechunits import store
from speechunits.config import build, load
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.exchange.fairseq_checkpoint import strides
from speechunits.exchange.names import in_model
from speechunits.exchange.source import read_model
from speechunits.stream import Stream
from tests.exchange.fairseq_layout import WIDTH, K, about, head, named_by_fairseq
from tests.exchange.toy import audio, model


def dictionary(monkeypatch: pytest.MonkeyPatch, symbols: list[str]) -> Any:
    """An object of fairseq.data.dictionary.Dictionary, whose module is there only while the file is written."""
    module = types.ModuleType("fairseq.data.dictionary")
    made = type("Dictionary", (), {"__module__": "fairseq.data.dictionary"})
    module.Dictionary = made
    for name in ("fairseq", "fairseq.data"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "fairseq.data.dictionary", module)
    out = made()
    out.symbols, out.nspecial = ["<s>", "<pad>", "</s>", "<unk>", *symbols], 4
    out.count, out.indices = [1] * len(out.symbols), {s: i for i, s in enumerate(out.symbols)}
    return out


def forget_fairseq(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fairseq", "fairseq.data", "fairseq.data.dictionary"):
        monkeypatch.delitem(sys.modules, name)


def compare(ours: SpeechEncoder, theirs: Any, normalise: bool = False) -> None:
    seq = audio(12000)
    x = F.layer_norm(seq.data, seq.data.shape[1:]) if normalise else seq.data
    with torch.no_grad():
        out, look = theirs(x, output_hidden_states=True), ours(seq)
    for state, expected in zip(look.hidden.layers, out.hidden_states, strict=True):
        torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(look.read("final").data, out.last_hidden_state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-zip"])
@pytest.mark.parametrize("form", ["namespace", "dict", "omegaconf"])
@pytest.mark.parametrize(("norm", "first"), [("group", False), ("layer", True)], ids=["base", "large"])
def test_hubert(
    norm: str, first: bool, form: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = model("hubert", norm, first)
    weights, large = {**named_by_fairseq(theirs, norm), **head()}, norm == "layer"
    task = {"_name": "hubert_pretraining", "labels": ["km"], "normalize": large}
    both = {"model": about(first), "task": task}
    said: dict[str, Any] = {
        "namespace": {"args": argparse.Namespace(**about(first), normalize=large), "cfg": None},
        "dict": {"args": None, "cfg": both},
        "omegaconf": {"args": None, "cfg": OmegaConf.create(both)},
    }[form]
    units = dictionary(monkeypatch, [str(u) for u in range(K)])
    checkpoint = {**said, "model": weights, "task_state": {"dictionaries": [units]}, "extra_state": {"epoch": 3}}
    torch.save(checkpoint, tmp_path / "hubert.pt", _use_new_zipfile_serialization=zipped)
    forget_fairseq(monkeypatch)

    found = read_model(tmp_path / "hubert.pt")
    assert (found.kind, found.left) == ("fairseq hubert", [])
    compare(found.encoder, theirs, large)
    inner, front = found.encoder.encoder, found.encoder.frontend
    assert (front.normalize_audio, front.normalize_eps, front.grad_scale) == (large, 1e-5, 0.1)
    assert (inner.dropout.p, inner.layerdrop, inner.layers[0].attention.dropout) == (0.05, 0.03, 0.2)
    assert (inner.layers[0].activation_dropout.p, found.encoder.projection.dropout.p) == (0.01, 0.15)
    assert (found.encoder.masker.time.share, found.encoder.masker.time.length) == (0.7, 8)

    # the head: unit u is row u, and scores are eq. 3 of the paper with the checkpoint's temperature
    assert found.head.vocab == (K,) and torch.equal(found.head.codes[0], weights["label_embs_concat"][4:])
    x = torch.randn(5, 24)
    e = weights["label_embs_concat"][4:]
    o = x @ weights["final_proj.weight"].T + weights["final_proj.bias"]
    expected = F.cosine_similarity(o[:, None], e[None], dim=-1) / 0.2
    torch.testing.assert_close(found.head(x)[0], expected, rtol=0, atol=1e-5)


def test_a_dictionary_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dict.km.txt sorted as text or by count: unit u is where its symbol stands."""
    order = [3, 0, 8, 1, 2, 7, 5, 6, 4]
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    units = dictionary(monkeypatch, [str(u) for u in order])
    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": weights, "task_state": {"dictionaries": [units]}}, tmp_path / "c.pt")
    forget_fairseq(monkeypatch)
    codes = read_model(tmp_path / "c.pt").head.codes[0]
    for row, unit in enumerate(order):
        assert torch.equal(codes[unit], weights["label_embs_concat"][4 + row])


@pytest.mark.parametrize("case", ["several", "glu", "untied"])
def test_heads_that_are_none_of_ours(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several codebooks in one table, or embeddings behind a gate: the encoder is imported, the head is named as left out."""
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    if case == "glu":
        weights["target_glu.0.weight"] = torch.ones(2 * WIDTH, WIDTH)
    if case == "untied":
        weights["final_proj.weight"] = torch.ones(2 * WIDTH, 24)
    units = [dictionary(monkeypatch, ["0"])] * (2 if case == "several" else 1)
    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": weights, "task_state": {"dictionaries": units}}, tmp_path / "c.pt")
    forget_fairseq(monkeypatch)
    found = read_model(tmp_path / "c.pt")
    assert found.head is None and {"head.codes.0", "head.projection.weight"} <= set(found.left)


def test_pretraining_goes_on_from_it(tmp_path: Path) -> None:
    """Encoder and head have a place in the SSLModel of conf/: same weights, K rows."""
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": weights}, tmp_path / "c.pt")
    found = read_model(tmp_path / "c.pt")
    sizes = [
        "model.encoder.frontend.channels=12", f"model.objectives.units.head.features={WIDTH}",
        "model.encoder.encoder={depth: 3, dim: 24, ffn: 40, heads: 4, positions: {kernel: 8, groups: 2}}",
    ]  # fmt: skip
    from fractions import Fraction

    tree = load("system/hubert_base.yaml", *sizes)["model"]
    learner = build(tree, streams={"units": Stream(Fraction(1, 50), (K,), "x")})
    ours = {**found.encoder.state_dict(), **{f"head.{n}": t for n, t in found.head.state_dict().items()}}
    learner.load_state_dict(in_model(ours), strict=True)


@pytest.mark.parametrize(("norm", "first"), [("group", False), ("layer", True)])
def test_wavlm_has_the_same_layout(norm: str, first: bool, tmp_path: Path) -> None:
    """Its authors' checkpoints hold one flat ``cfg``."""
    theirs = model("wavlm", norm, first, max_bucket_distance=200)
    cfg = {**about(first), "normalize": False, "relative_position_embedding": True, "max_distance": 200}
    torch.save({"cfg": cfg, "model": named_by_fairseq(theirs, norm)}, tmp_path / "c.pt")
    compare(read_model(tmp_path / "c.pt").encoder, theirs)


def test_data2vec(tmp_path: Path) -> None:
    theirs = model("data2vec-audio", "layer")
    weights = {
        **named_by_fairseq(theirs, "layer"),
        "final_proj.weight": torch.ones(24, 24),
        "final_proj.bias": torch.ones(24),
    }
    weights["_ema"] = dict(weights)
    cfg = {"model": about(pos_conv_depth=3), "task": {"normalize": True}}
    torch.save({"cfg": cfg, "model": weights}, tmp_path / "c.pt")
    found = read_model(tmp_path / "c.pt")
    compare(found.encoder, theirs, normalise=True)
    assert found.head is None and set(found.left) == {"head.projection.weight", "head.projection.bias"}


@pytest.mark.parametrize("form", ["namespace", "dict"])
def test_fine_tuned(form: str, tmp_path: Path) -> None:
    """The body stands under another name, what is said of it inside what is said of the whole."""
    theirs = model("wav2vec2", "layer", True)
    weights = {f"w2v_encoder.w2v_model.{n}": t for n, t in named_by_fairseq(theirs, "layer").items()}
    weights["w2v_encoder.proj.weight"] = torch.ones(30, 24)
    inside = (
        argparse.Namespace(**about(True))
        if form == "namespace"
        else {"model": about(True), "task": {"normalize": False}}
    )
    cfg = {
        "model": {"w2v_args": inside, "normalize": True, "layer_norm_first": False},
        "task": {"_name": "audio_finetuning"},
    }
    torch.save({"cfg": cfg, "model": weights}, tmp_path / "c.pt")
    found = read_model(tmp_path / "c.pt")
    compare(found.encoder, theirs, normalise=True)
    assert found.left == ["w2v_encoder.proj.weight"]


def test_without_a_configuration_conventions_hold(tmp_path: Path) -> None:
    theirs = model("hubert")
    torch.save({"model": named_by_fairseq(theirs, "group")}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="give --heads"):
        read_model(tmp_path / "c.pt")
    compare(read_model(tmp_path / "c.pt", heads=4).encoder, theirs)
    torch.save(named_by_fairseq(theirs, "group"), tmp_path / "weights.pt")
    compare(read_model(tmp_path / "weights.pt", heads=4).encoder, theirs)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"activation_fn": "relu"}, "activation_fn is relu"),
        ({"conv_feature_layers": "__import__('os').mkdir('trap')"}, "which is no list of"),
        ({"conv_feature_layers": "[(12,10,5)] * 3"}, "7 kernels but 3 strides"),
        ({"encoder_attention_heads": 7}, "does not divide into 7 heads"),
        ({"encoder_attention_heads": "many"}, "heads"),
        ({"layer_norm_first": None}, "does not tell norm_first"),
    ],
)
def test_what_it_says_is_checked(change: Mapping[str, Any], says: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    weights = named_by_fairseq(model("hubert"), "group")
    torch.save({"cfg": {"model": about(**change), "task": {"normalize": False}}, "model": weights}, "c.pt")
    with pytest.raises(UserError, match=says) as said:
        read_model("c.pt")
    assert "\n" not in str(said.value) and [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_parts_that_we_do_not_have(tmp_path: Path) -> None:
    weights = named_by_fairseq(model("hubert"), "group")
    cfg = {"model": about(), "task": {"normalize": False}}
    odd = {**weights, "encoder.layers.0.adapter.weight": torch.ones(2)}
    torch.save({"cfg": cfg, "model": odd}, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"'encoder\.layers\.0\.adapter\.weight' belongs to a part of an encoder"):
        read_model(tmp_path / "c.pt")
    less = {n: t for n, t in weights.items() if n != "encoder.layers.1.fc2.bias"}
    torch.save({"cfg": cfg, "model": less}, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"encoder\.layers\.1\.down\.bias"):
        read_model(tmp_path / "c.pt")
    less = {n: t for n, t in weights.items() if not n.startswith("layer_norm.")}
    torch.save({"cfg": cfg, "model": less}, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"2 weights are missing, projection\.norm\.bias"):
        read_model(tmp_path / "c.pt")


def test_strides_are_read_and_not_evaluated() -> None:
    assert strides("[(512, 10, 5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2") == (5, 2, 2, 2, 2, 2, 2)
    for bad in ("[(1,2,3)] * 10**9", "[(1,2,3)] * 1000", "open('x')", "[1, 2]", "(", "[(1, 2, 'x')]", "(" * 5000):
        with pytest.raises(ValueError, match="which is no list of"):
            strides(bad)


def test_kept_as_folders(tmp_path: Path) -> None:
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    torch.save({"cfg": {"model": about(), "task": {"normalize": False}}, "model": weights}, tmp_path / "c.pt")
    found = read_model(tmp_path / "c.pt")
    found.save(tmp_path / "ours")
    assert store.read_meta(tmp_path / "ours")["imported_from"] == "fairseq hubert"
    store.save(found.head, tmp_path / "head")
    kept = store.restore(tmp_path / "head")
    assert kept.vocab == (K,) and torch.equal(kept.codes[0], found.head.codes[0])
