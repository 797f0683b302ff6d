"""What all ways of tuning share: a tenth at most is trained, nothing else moves, batching changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from speechunits import store
from speechunits.config import build, load
from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq, unpad
from speechunits.train.optim import adamw
from speechunits.tuning.adapters import Adapters
from speechunits.tuning.biases import Biases
from speechunits.tuning.frozen import Frozen
from speechunits.tuning.full import Full
from speechunits.tuning.lora import LoRA
from speechunits.tuning.prefix import Prefix

Way = Callable[[nn.Module], None]
EVERYTHING = ("query", "key", "value", "out", "up", "down")
SMALL: dict[str, Callable[[], Way]] = {
    "biases": Biases,
    "adapters": Adapters,
    "lora": LoRA,
    "lora everywhere": partial(LoRA, projections=EVERYTHING),
    "prefix": Prefix,
}
TOY: dict[str, Callable[[], Way]] = SMALL | {"adapters": partial(Adapters, 4), "full": Full}


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def shaken(module: nn.Module) -> nn.Module:
    """Every trained parameter elsewhere, so that what starts at zero shows."""
    generator = torch.Generator().manual_seed(2)
    for p in trained(module).values():
        p.data += 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=generator)
    return module


@pytest.mark.parametrize("system", ["hubert_base", "hubert_large"])
@pytest.mark.parametrize("way", SMALL)
def test_a_tenth_at_most_is_trained_at_full_size(way: str, system: str) -> None:
    with torch.device("meta"):
        encoder = build(load(f"system/{system}.yaml")["model"]["encoder"])
        SMALL[way]()(encoder)
    counts = [sum(p.numel() for p in ps) for ps in (trained(encoder).values(), encoder.parameters())]
    assert 0 < counts[0] <= 0.1 * counts[1], f"{counts[0] / counts[1]:.1%}"


def test_the_sizes_of_the_papers() -> None:
    """Base: LoRA on query and value, 12 layers x 2 x 8 x (768 + 768); adapters of 64 and the norms; prefixes; biases."""
    counts = {}
    for name, way in {"lora": LoRA(), "adapters": Adapters(), "prefix": Prefix(), "biases": Biases()}.items():
        with torch.device("meta"):
            encoder = build(load("system/hubert_base.yaml")["model"]["encoder"])
            way(encoder)
        counts[name] = sum(p.numel() for p in trained(encoder).values())
    layer = {"qkv": 3 * 768, "out": 768, "up": 3072, "down": 768, "norms": 2 * 768}
    assert counts == {
        "lora": 12 * 2 * 8 * (768 + 768),
        "adapters": 12 * (2 * (2 * 768 * 64 + 64 + 768) + 2 * 2 * 768),
        "prefix": 12 * 2 * 16 * 768,
        "biases": 12 * sum(layer.values()) + 512 + 768 + 768 + 768,  # projection: norm, linear; positions; first norm
    }


@pytest.mark.parametrize("way", TOY)
def test_only_what_is_trained_gets_gradient_and_optimizer_state(way: str, encoder: SpeechEncoder, audio: Seq) -> None:
    TOY[way]()(encoder)
    shaken(encoder)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    moving = {name for name in trained(encoder) if not name.startswith("masker")}
    optimizer = adamw(trained(encoder).items(), lr=1e-2)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in trained(encoder).values()}
    x = encoder(audio).hidden.final
    x.data[x.valid].square().mul(torch.linspace(0, 1, x.data.size(-1))).sum().backward()
    assert {name for name, p in encoder.named_parameters() if p.grad is not None} == moving
    optimizer.step()
    moved = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert moved == moving and not any("frontend" in name for name in moved)
    assert len(optimizer.state) == len(moving)


@pytest.mark.parametrize("way", ["adapters", "lora", "lora everywhere", "full", "biases"])
def test_nothing_is_changed_at_the_beginning(way: str, encoder: SpeechEncoder, audio: Seq) -> None:
    before = encoder(audio).hidden
    TOY[way]()(encoder)
    after = encoder(audio).hidden
    for a, b in zip((*before.layers, before.final.data), (*after.layers, after.final.data), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_a_prefix_changes_the_output_at_once(encoder: SpeechEncoder, audio: Seq) -> None:
    before = encoder(audio).hidden.final.data
    Prefix()(encoder)
    assert not torch.allclose(before, encoder(audio).hidden.final.data)


@pytest.mark.parametrize(
    "encoder", ["large", "relative"], indirect=True
)  # group norm over time is the documented exception
@pytest.mark.parametrize("way", TOY)
def test_a_batch_is_its_utterances(way: str, encoder: SpeechEncoder, audio: Seq) -> None:
    TOY[way]()(encoder)
    shaken(encoder)
    whole = unpad(encoder(audio).hidden.final)
    for one, n, wave in zip(whole, audio.lengths.tolist(), audio.data, strict=True):
        alone = encoder(Seq(wave[None, :n], torch.tensor([n]), audio.hop)).hidden.final.data[0]
        torch.testing.assert_close(one, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", ["full", "biases", "lora", "lora everywhere"])
def test_the_plain_encoder_gives_the_same_and_is_saved_as_one(
    way: str, encoder: SpeechEncoder, audio: Seq, tmp_path: Any
) -> None:
    names = set(encoder.state_dict())
    tuning: Any = TOY[way]()
    tuning(encoder)
    plain = tuning.plain(shaken(encoder))
    assert set(plain.state_dict()) == names
    torch.testing.assert_close(plain(audio).hidden.final.data, encoder(audio).hidden.final.data, rtol=1e-6, atol=1e-6)
    store.save(plain, tmp_path / "plain")
    again = store.restore(tmp_path / "plain", expect=SpeechEncoder).double()
    torch.testing.assert_close(
        again.eval()(audio).hidden.final.data, plain.eval()(audio).hidden.final.data, rtol=1e-6, atol=1e-6
    )


def test_nothing_of_a_frozen_encoder_is_trained(encoder: SpeechEncoder) -> None:
    Frozen()(encoder)
    assert trained(encoder) == {}
    Full(frontend=True)(encoder)
    assert len(trained(encoder)) == len(list(encoder.parameters()))


@pytest.mark.parametrize("way", [LoRA, Adapters, Prefix])
def test_an_encoder_without_layers_is_refused(way: Callable[[], Way]) -> None:
    with pytest.raises(ValueError, match="has no TransformerLayer"):
        way()(nn.Linear(2, 2))


@pytest.mark.parametrize(
    "wrong", [lambda: LoRA(0), lambda: LoRA(projections=()), lambda: Adapters(0), lambda: Prefix(0)]
)
def test_numbers_that_mean_nothing(wrong: Callable[[], Way]) -> None:
    with pytest.raises(ValueError):
        wrong()
