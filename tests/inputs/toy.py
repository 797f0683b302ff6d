"""A toy encoder folder, batches with audio and stored vectors, and what every input has to keep to."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechunits import store
from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.seq import pad, unpad
from speechunits.stream import Stream

HOP = Fraction(1, 50)
STREAMS = {"features": Stream(HOP, (), "fp1", (6,)), "stack": Stream(HOP, (), "fp2", (3, 6))}
MEL = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 10, "hop": "1/100"}
AUGMENT = {"_target_": "speechunits.maskers.spec_augment.SpecAugment", "band_width": 3, "time_share": 0.2}
CONV1D = {"_target_": "speechunits.nn.conv1d_subsampling.Conv1dSubsampling", "dim": 8}
CONV2D = {"_target_": "speechunits.nn.conv2d_subsampling.Conv2dSubsampling", "dim": 8}
MIX = {"_target_": "speechunits.heads.weighted_sum.WeightedSum"}
CONVOLVED = {"_target_": "speechunits.heads.layer_convolution.LayerConvolution"}


def encoder_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    still = [f"model.encoder.encoder.{k}=0" for k in ("dropout", "attention_dropout", "layerdrop")]
    still += ["model.encoder.projection.dropout=0"]
    tree = load("system/hubert_large.yaml", "size/toy.yaml", *still)["model"]["encoder"]
    store.save(build(tree), folder, kind="encoder")
    return folder


def batch(*seconds: float) -> dict[str, Any]:
    """Utterances of so many seconds, each the same whatever stands beside it."""
    made: dict[str, list[torch.Tensor]] = {"audio": [], "features": [], "stack": []}
    for s in seconds:
        g = torch.Generator().manual_seed(round(s * 1000))
        made["audio"].append(torch.randn(round(s * 16000), generator=g, dtype=torch.float64))
        for name, stream in STREAMS.items():
            made[name].append(torch.randn(int(s * 50), *stream.shape, generator=g, dtype=torch.float64))
    hops = {"audio": Fraction(1, 16000), "features": HOP, "stack": HOP}
    return {k: pad(v, hops[k]) for k, v in made.items()} | {"draws": draws([str(s) for s in seconds])}


def check_input(made: nn.Module, seconds: Sequence[float] = (1.3, 0.7, 0.96)) -> None:
    """Lengths, rate and edges known before; utterances alone as in a batch, hidden or not; a gradient for all that learns."""
    made = made.double().train()
    together = batch(*seconds)
    for hide in (False, True):
        heard = made(together, together["draws"] if hide else None)
        assert heard.lengths.equal(made.lengths(together)) and heard.hop == made.hop  # type: ignore[operator]
        assert heard.data.size(-1) == made.dim
        for row, s in zip(unpad(heard), seconds, strict=True):
            one = batch(s)
            torch.testing.assert_close(row, made(one, one["draws"] if hide else None).data[0])
    edges = made.edges(together)  # type: ignore[operator]
    assert edges.shape == (len(seconds), heard.data.size(1) + 1)
    torch.testing.assert_close(edges.amax(1), heard.lengths.double() * float(made.hop))  # type: ignore[arg-type]
    heard.data.square().sum().backward()
    without = [
        n for n, p in made.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)
    ]
    assert without == []


def check_saved(tree: dict[str, Any], folder: Path, **supplied: Any) -> None:
    """Its folder gives back the same input."""
    made = build(tree, **supplied).eval()
    for p in made.parameters():
        p.data += 0.01
    store.save(made, folder, kind="input")
    back, one = store.restore(folder), batch(0.8)
    for name in ("audio", "features", "stack"):
        one[name] = one[name].to(torch.float32)
    torch.testing.assert_close(back(one).data, made(one).data)
    assert back.labels == made.labels
