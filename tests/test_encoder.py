"""SpeechEncoder: frames known before the pass, places to read, early stop, and the batch that must not matter."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq, pad, unpad

MEL = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "hop": "1/50"}


def make(system: str = "large", **frontend: object) -> SpeechEncoder:
    over = {"model": {"encoder": {"frontend": frontend}}} if frontend else {}
    tree = load(f"system/hubert_{system}.yaml", "size/toy.yaml", over)["model"]["encoder"]
    return build(tree).double().eval()


def audio(*lengths: int) -> Seq:
    return pad([torch.randn(n, dtype=torch.float64) for n in lengths], Fraction(1, 16000))


@pytest.mark.parametrize("frontend", [{}, MEL])
def test_frames_are_known_before_the_pass(frontend: dict):
    encoder, x = make(**frontend), audio(9000, 4321, 500)
    d = draws(["a", "b", "c"])
    before, look = encoder.frames(x, d), encoder(x, d)
    assert torch.equal(before.valid, look.frames.valid) and torch.equal(before.masked, look.frames.masked)
    assert before.hop == look.frames.hop == look.hidden.final.hop == encoder.hop
    assert look.hidden.final.data.shape == (*before.valid.shape, encoder.dim)
    assert not encoder.frames(x).masked.any() and not encoder(x).frames.masked.any()


def test_pick():
    frames = make().frames(audio(9000, 4321), draws(["a", "b"]))
    masked, unmasked, every = (frames.pick(w) for w in ("masked", "unmasked", "all"))
    assert masked.any() and unmasked.any() and not (masked & unmasked).any()
    assert torch.equal(masked | unmasked, every) and torch.equal(every, frames.valid)


@pytest.mark.parametrize("frontend", [{}, MEL])
@pytest.mark.parametrize("hide", [False, True])
def test_batching_changes_nothing(frontend: dict, hide: bool):
    encoder, x, names = make(**frontend), audio(9000, 4321, 1000), ["a", "b", "c"]
    batch = encoder(x, draws(names) if hide else None)
    for i, (name, item) in enumerate(zip(names, unpad(x), strict=True)):
        alone = encoder(pad([item], x.hop), draws([name]) if hide else None)
        n = int(alone.hidden.final.lengths[0])
        assert torch.equal(batch.frames.masked[i, :n], alone.frames.masked[0])
        for where in ("clean", "seen", "layer:0", "layer:1", "final"):
            torch.testing.assert_close(batch.read(where).data[i, :n], alone.read(where).data[0], rtol=0, atol=1e-10)


def test_batching_changes_the_group_norm_frontend():
    """HuBERT base's documented exception: its first block is normalised over the time of the whole batch."""
    encoder, x = make("base"), audio(9000, 4321)
    alone = encoder(pad([unpad(x)[1]], x.hop)).hidden.final.data[0]
    assert float((encoder(x).hidden.final.data[1, : len(alone)] - alone).detach().abs().max()) > 1e-4


def test_places():
    encoder, x = make(), audio(9000, 4321)
    look = encoder(x, draws(["a", "b"]))
    assert look.read("clean").data.size(-1) == 16 and look.read("seen").data.size(-1) == encoder.dim == 32
    assert torch.equal(look.read("layer:0").data, look.hidden.layers[0])
    assert torch.equal(look.read(f"layer:{encoder.depth}").data, look.hidden.layers[-1])
    assert torch.equal(look.read("final").data, look.hidden.final.data)
    hidden = look.read("seen").data[look.frames.masked]
    assert torch.equal(hidden, encoder.masker.vector.expand_as(hidden))
    for where in ("layer:1", "clean"):
        assert torch.equal(look.read(where).lengths, look.frames.valid.sum(1))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("layer:3", "layers 0 to 2"),
        ("layer:last", "cannot be read"),
        ("branch:slow", "cannot be read"),
        ("", "cannot be"),
    ],
)
def test_places_that_do_not_exist(where: str, says: str):
    with pytest.raises(ValueError, match=says):
        make()(audio(2000)).read(where)


def test_stopping_early():
    encoder, x = make(), audio(9000, 4321)
    full, early = encoder(x), encoder(x, depth=1)
    assert torch.equal(early.hidden.final.data, full.read("layer:1").data)
    with pytest.raises(ValueError, match="layers 0 to 1"):
        early.read("layer:2")


def test_purposes_hide_differently():
    encoder, x, d = make(), audio(9000), draws(["a"])
    assert not torch.equal(encoder(x, d, "mask:0").frames.masked, encoder(x, d, "mask:1").frames.masked)
