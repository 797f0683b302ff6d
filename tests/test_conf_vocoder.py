"""conf/vocoder: each fragment has its published size, and takes a step at toy size that moves all that it has."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.config import build, check, check_build, conf_root, load
from speechunits.part import Tree
from speechunits.seq import Seq

FRAGMENTS = sorted(
    path.stem for path in (conf_root() / "vocoder").glob("*.yaml") if "vocoder" in load(path).get("model", {})
)
SUPPLIED = {"dim": 128, "hop": Fraction(1, 50)}


def generator(*sources: str) -> Tree:
    node: Tree = load(*sources)["model"]["vocoder"]["generator"]
    return node


def test_they_are_found() -> None:
    assert {"hifigan_v1", "hifigan_v2", "istft"} <= set(FRAGMENTS)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_cites_its_paper(name: str) -> None:
    head = (conf_root() / "vocoder" / f"{name}.yaml").read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head[:2]) and "https://arxiv.org/abs/" in "".join(head)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_takes_a_unit_of_hubert(name: str) -> None:
    """128 features each 20 ms to 320 samples."""
    node = generator(f"vocoder/{name}.yaml")
    assert check(node) == [] and check_build(node, **SUPPLIED) == []
    with torch.device("meta"):
        assert build(node, **SUPPLIED).factor == 320


@pytest.mark.parametrize("name", FRAGMENTS)
def test_one_step(name: str) -> None:
    made = build(generator(f"vocoder/{name}.yaml", "size/toy_vocoder.yaml"), dim=8, hop=Fraction(1, 50))
    optimizer = torch.optim.Adam(made.parameters(), 1e-3)
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    wave = made(Seq(torch.randn(2, 6, 8), torch.tensor([6, 4]), Fraction(1, 50)))
    assert wave.data.shape == (2, 6 * 320) and wave.lengths.tolist() == [1920, 1280]
    (wave.data / wave.data.detach().std()).sin().sum().backward()  # untrained, it whispers
    optimizer.step()
    assert [n for n, p in made.named_parameters() if p.equal(before[n])] == []
