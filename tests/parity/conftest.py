"""What the parity tests share: a toy HuBERT of ours from its YAML, a batch, and a mask that both sides obey."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.pretraining import SSLModel
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream

VOCAB = 7
CHANNELS, KERNELS, STRIDES = 16, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)


def _model(*overrides: str, system: str = "base", toy: bool = True, vocab: int = VOCAB) -> SSLModel:
    small = ["size/toy.yaml", "model.objectives.units.head.features=8"] if toy else []
    tree = load(f"system/hubert_{system}.yaml", *small, *overrides)["model"]
    return build(tree, streams={"units": Stream(Fraction(1, 50), (vocab,), "random")})


def _batch(
    samples: tuple[int, ...], frames: Callable[[Tensor], Tensor], dtype: torch.dtype, vocab: int = VOCAB
) -> dict:
    random = torch.Generator().manual_seed(1)
    lengths = torch.tensor(samples)
    audio = 0.05 + 0.7 * torch.randn(len(samples), max(samples), generator=random, dtype=dtype)
    audio[torch.arange(max(samples)) >= lengths[:, None]] = 0
    counts = frames(lengths)
    codes = torch.randint(vocab, (len(samples), int(counts.max())), generator=random)
    codes[torch.arange(codes.size(1)) >= counts[:, None]] = -1
    return {
        "audio": Seq(audio, lengths, Fraction(1, 16000)),
        "units": Seq(codes, counts, Fraction(1, 50)),
        "draws": draws([f"cut-{i}" for i in range(len(samples))], seed=3),
    }


def _normalised(audio: Seq) -> Tensor:
    """(B, S) as the reference models of the large sizes get it: fairseq's ``layer_norm`` of each utterance, then padded."""
    return pad([F.layer_norm(x, x.shape) for x in unpad(audio)], audio.hop).data


@torch.no_grad()
def _shake(model: nn.Module) -> None:
    """Move every parameter off its initial value, so that no zero bias and no unit norm hides a wrong name."""
    random = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)
        parameter.add_(noise * (0.3 * parameter.std() if parameter.numel() > 1 and parameter.std() > 0 else 0.1))


@pytest.fixture
def make_model() -> Callable[..., SSLModel]:
    return _model


@pytest.fixture
def make_batch() -> Callable[..., dict]:
    return _batch


@pytest.fixture
def normalised() -> Callable[[Seq], Tensor]:
    return _normalised


@pytest.fixture
def shake() -> Callable[[nn.Module], None]:
    return _shake
