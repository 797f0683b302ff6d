"""conf/encoder: each fragment has its published size, and takes its place in a recogniser that learns, saves and streams."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, conf_root, load
from speechunits.draws import draws
from speechunits.part import Tree
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.term import loss

FRAGMENTS = sorted(path.stem for path in (conf_root() / "encoder").glob("*.yaml"))
STREAMS = {"units": Stream(Fraction(1, 50), (6,), "abc")}
SMALL = {"kernel": 5, "merge_kernel": 5, "units": 16, "ffn": 16}


def recogniser(name: str, *changes: str) -> Tree:
    around = {
        "_target_": "speechunits.tasks.asr.ASR",
        "input": {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 8},
        "text": {"_target_": "speechunits.text.characters.Characters", "symbols": list("abcd")},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
    }
    return around | load(f"encoder/{name}.yaml", *changes)["model"]


def test_they_are_found() -> None:
    assert {"conformer_12x256", "ebranchformer_12x256", "transformer_12x256"} <= set(FRAGMENTS)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_cites_its_paper(name: str) -> None:
    head = (conf_root() / "encoder" / f"{name}.yaml").read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head[:2]) and "https://arxiv.org/abs/" in "".join(head)


@pytest.mark.parametrize(
    ("name", "maps", "filters"),
    [
        ("transformer_12x256", 4 * 256**2 + 2 * 256 * 1024, 0),
        ("conformer_12x256", 4 * 256**2 + 4 * 256 * 1024 + 3 * 256**2, 31 * 256),
        ("ebranchformer_12x256", 4 * 256**2 + 4 * 256 * 1024 + 256 * 1024 + 512 * 256 + 512 * 256, 2 * 31 * 512),
    ],
)
def test_size(name: str, maps: int, filters: int) -> None:
    """Attention, feed-forward parts, convolution module or gating MLP and merge: counted by hand from the paper's figures."""
    with torch.device("meta"):
        encoder = build(recogniser(name)["encoder"])
    assert sum(p.numel() for p in encoder.parameters() if p.dim() == 2) == 12 * maps
    assert sum(p.numel() for p in encoder.parameters() if p.dim() == 3) == 12 * filters


@pytest.mark.parametrize("name", FRAGMENTS)
def test_one_step_and_a_folder(name: str, tmp_path: Path) -> None:
    block = load(f"encoder/{name}.yaml")["model"]["encoder"]["block"]
    small = [f"model.encoder.block.{key}={value}" for key, value in SMALL.items() if key in block]
    toy = [*small, "model.encoder.depth=2", "model.encoder.dim=8", "model.encoder.heads=2"]
    tree = recogniser(name, *toy, "model.encoder.chunk=4", "model.encoder.left=8", "model.encoder.chunks=[null,4]")
    assert check_build(tree, streams=STREAMS) == []
    torch.manual_seed(0)
    model = build(tree, streams=STREAMS)
    batch = {
        "units": pad([torch.randint(6, (n,)) for n in (20, 13)], Fraction(1, 50)),
        "text": pad([torch.randint(4, (n,)) for n in (5, 3)], None),
        "draws": draws(["a", "b"]),
    }
    total = loss(model.terms(batch), model.counts(batch))
    total.backward()
    assert torch.isfinite(total) and all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    store.save(model, tmp_path / "asr", kind="asr")
    again = store.restore(tmp_path / "asr").eval()
    assert torch.equal(model.eval().hear(batch)["ctc"].data, again.hear(batch)["ctc"].data)
    assert again.encoder.chunks == (None, 4) and again.encoder.begin().frames == 0
