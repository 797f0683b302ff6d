"""A toy encoder of both kinds of norm and with relative positions, and what every way of tuning has to keep to."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.config import build, load
from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq

RELATIVE = {"_target_": "speechunits.nn.relative_positions.GatedRelativePositions", "_partial_": True}
STILL = ("dropout", "attention_dropout", "layerdrop")


@pytest.fixture(params=["base", "large", "relative"])
def encoder(request: pytest.FixtureRequest) -> SpeechEncoder:
    torch.manual_seed(0)
    still = [f"model.encoder.encoder.{k}=0" for k in STILL] + ["model.encoder.projection.dropout=0"]
    kind = request.param.replace("relative", "large")
    tree = load(f"system/hubert_{kind}.yaml", "size/toy.yaml", *still)["model"]["encoder"]
    if request.param == "relative":
        tree["encoder"]["relative"] = RELATIVE
    made: SpeechEncoder = build(tree).double()
    for p in made.encoder.parameters():  # norms and biases at other places than where they begin
        p.data += 0.05 * torch.randn_like(p)
    return made


@pytest.fixture
def audio() -> Seq:
    lengths = torch.tensor([9000, 6000])
    data = torch.randn(2, 9000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Seq(data * (torch.arange(9000) < lengths[:, None]), lengths, Fraction(1, 16000))
