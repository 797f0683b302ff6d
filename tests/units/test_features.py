"""Features: batches and chunks change nothing, frames that are joined keep their time, mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from speechunits.encoder import SpeechEncoder
from speechunits.encoders.transformer import TransformerEncoder
from speechunits.frontends.conv import ConvFrontend
from speechunits.frontends.log_mel import LogMel
from speechunits.frontends.mfcc import MFCC
from speechunits.nn.positions import ConvPositions
from speechunits.nn.projection import FeatureProjection
from speechunits.seq import Seq, pad, unpad
from speechunits.units.features import Features

HZ16K = Fraction(1, 16000)


def audio(*seconds: float, seed: int = 0) -> Seq:
    rng = torch.Generator().manual_seed(seed)
    return pad([torch.randn(round(s * 16000), generator=rng) * 0.1 for s in seconds], HZ16K)


def alone(seq: Seq, row: int) -> Seq:
    return Seq(seq.data[row : row + 1, : int(seq.lengths[row])], seq.lengths[row : row + 1], seq.hop)


def encoder(frontend: nn.Module, depth: int = 2, dim: int = 16) -> SpeechEncoder:
    torch.manual_seed(3)
    layers = TransformerEncoder(depth, dim, 32, 2, 0.0, 0.0, positions=partial(ConvPositions, kernel=9, groups=2))
    return SpeechEncoder(frontend, layers, FeatureProjection).eval()


def conv(norm: str = "layer") -> ConvFrontend:
    torch.manual_seed(1)
    return ConvFrontend(channels=8, norm=norm).eval()  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ batches


@pytest.mark.parametrize("make", [MFCC, LogMel, partial(LogMel, stack=4), conv])
def test_frontends_do_not_see_the_batch(make: Callable[[], nn.Module]):
    features, batch = Features(make()), audio(1.2, 0.31, 0.77)
    for row, x in enumerate(unpad(features(batch))):
        one = features(alone(batch, row)).data[0]
        assert len(one) == len(x) > 5
        torch.testing.assert_close(x, one, rtol=1e-5, atol=1e-5)


def test_group_norm_is_the_documented_exception():
    features, batch = Features(conv("group")), audio(1.2, 0.31)
    short, one = unpad(features(batch))[1], features(alone(batch, 1)).data[0]
    assert short.shape == one.shape
    assert float((short - one).abs().max()) > 1e-3


def test_a_row_shorter_than_a_chunk_is_not_cut_because_its_neighbour_is_long():
    """0.9 s fit into one chunk of 1 s, though only 0.6 s of a chunk are kept where there are several."""
    features, batch = Features(encoder(LogMel(bands=20)), "layer:2", chunk=1.0, context=0.2), audio(3.0, 0.9)
    torch.testing.assert_close(unpad(features(batch))[1], features(alone(batch, 1)).data[0], rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------------ chunks


@pytest.mark.parametrize("seconds", [1.0, 1.003, 1.6, 2.0, 3.217])
@pytest.mark.parametrize("context", [0.1, 0.21])
@pytest.mark.parametrize(
    "make", [MFCC, partial(LogMel, normalize="none"), partial(LogMel, normalize="none", stack=4), conv]
)
def test_chunks_change_nothing_where_the_view_is_short(make: Callable[[], nn.Module], context: float, seconds: float):
    """Every length, chunk and context gives the frames of the whole, in number and value."""
    frontend, batch = make(), audio(seconds)
    whole = frontend(batch)
    chunked = Features(frontend, chunk=0.73, context=context)(batch)
    assert chunked.hop == whole.hop and torch.equal(chunked.lengths, whole.lengths)
    torch.testing.assert_close(chunked.data, whole.data, rtol=1e-4, atol=1e-4)


def test_without_context_every_frame_is_still_there():
    """A frame sees more than a hop, so a chunk needs some samples of the next one."""
    batch = audio(2.9)
    for frontend in (conv(), LogMel(normalize="none")):
        chunked, whole = Features(frontend, chunk=0.5, context=0.0)(batch), frontend(batch)
        torch.testing.assert_close(chunked.data, whole.data, rtol=1e-4, atol=1e-4)


def melody(seconds: float) -> Seq:
    """Tones and pauses of 0.1 to 0.3 s: unlike noise, no window has the statistics of the next."""
    rng = np.random.default_rng(5)
    parts = []
    while sum(map(len, parts)) < seconds * 16000:
        t = np.arange(int(rng.uniform(0.1, 0.3) * 16000)) / 16000
        tone = rng.choice([0, 0.02, 0.3]) * np.sin(2 * np.pi * rng.uniform(100, 4000) * t)
        parts.append(tone + 0.001 * rng.standard_normal(len(t)))
    return pad([torch.from_numpy(np.concatenate(parts)[: int(seconds * 16000)]).float()], HZ16K)


def test_a_transformer_with_context_agrees_at_the_borders_of_chunks_as_elsewhere():
    """Unlimited attention sees another window in each chunk, so values differ a little everywhere, not at borders."""
    batch, model = melody(12.0), encoder(LogMel(bands=20, hop="1/50", normalize="none"))
    for layer in model.encoder.layers:  # attention that looks somewhere, unlike that of random weights
        for part in layer.attention.children():
            part.weight.data *= 2  # type: ignore[operator]
    whole = Features(model, "layer:2", chunk=60.0)(batch).data[0]
    borders = [50 * k + d for k in range(1, 12) for d in (-2, -1, 0, 1)]
    inside = np.setdiff1d(np.arange(len(whole)), borders)

    def error(chunk: float, context: float) -> Tensor:
        chunked = Features(model, "layer:2", chunk=chunk, context=context)(batch).data[0]
        return (chunked - whole).norm(dim=1) / whole.std() / whole.size(1) ** 0.5

    seen = error(4.0, 1.5)  # 1 s of each chunk is kept: 50 frames
    assert float(seen[inside].mean()) > 1e-4, "the chunks were not seen apart"
    assert float(seen[borders].mean()) < 1.2 * float(seen[inside].mean())
    assert float(seen.max()) < 0.02, "2 % of the spread of the features"
    bare = error(1.0, 0.0)
    assert float(bare[borders].mean()) > 3 * float(bare[inside].mean()), "without context borders would show"


def test_chunks_that_keep_nothing_are_refused():
    with pytest.raises(ValueError, match="longer than twice the context"):
        Features(MFCC(), chunk=1.0, context=0.5)
    with pytest.raises(ValueError, match="longer than twice the context"):
        Features(MFCC(), chunk=1.005, context=0.5)  # half a hop


# ------------------------------------------------------------------------------------------------ joining frames


class Ramp(nn.Module):
    """Frame t of a 100 Hz frontend is the number t: joined frames say which ones they came from."""

    dim, hop = 1, Fraction(1, 100)

    def frames(self, lengths: Tensor) -> Tensor:
        return torch.div(lengths, 160, rounding_mode="floor")

    def forward(self, x: Seq) -> Seq:
        n = int(self.frames(torch.tensor([x.data.size(1)])))
        data = torch.arange(n, dtype=torch.float32).repeat(len(x.data), 1)[..., None]
        return Seq(data, self.frames(x.lengths), self.hop)


def test_first_and_mean_of_every_third_frame():
    batch = audio(0.11, 0.08)  # 11 and 8 frames
    first, mean = Features(Ramp(), every=3)(batch), Features(Ramp(), every=3, pool="mean")(batch)
    assert first.hop == mean.hop == Fraction(3, 100) == Features(Ramp(), every=3).hop
    assert [x[:, 0].tolist() for x in unpad(first)] == [[0, 3, 6, 9], [0, 3, 6]]
    assert [x[:, 0].tolist() for x in unpad(mean)] == [[1, 4, 7], [1, 4]]


def test_pooling_is_the_same_over_chunks():
    batch = audio(3.0)
    for pool in ("first", "mean"):
        whole = Features(MFCC(), every=2, pool=pool)(batch)  # type: ignore[arg-type]
        chunked = Features(MFCC(), every=2, pool=pool, chunk=0.73, context=0.1)(batch)  # type: ignore[arg-type]
        assert torch.equal(whole.lengths, chunked.lengths)
        torch.testing.assert_close(chunked.data, whole.data, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------ places


@pytest.mark.parametrize("read", ["layer:0", "layer:1", "layer:2", "final", "clean", "seen"])
def test_the_place_is_read(read: str):
    model, batch = encoder(LogMel(bands=20)), audio(0.5, 0.3)
    features = Features(model, read)
    out = features(batch)
    torch.testing.assert_close(out.data, model(batch).read(read).data)
    assert out.data.size(2) == features.dim == (20 if read == "clean" else 16)


def test_layers_above_are_not_run():
    model = encoder(LogMel(bands=20))
    model.encoder.layers[1].register_forward_hook(lambda *_: pytest.fail("layer 2 was run"))
    Features(model, "layer:1")(audio(0.3))
    Features(model, "clean")(audio(0.3))


@pytest.mark.parametrize(
    ("read", "says"), [("layer:3", "layers 0 to 2"), ("layer:x", "use final"), ("fnal", "use final")]
)
def test_places_that_do_not_exist_are_named_at_once(read: str, says: str):
    with pytest.raises(ValueError, match=says):
        Features(encoder(LogMel(bands=20)), read)


def test_a_frontend_has_no_layers_and_frames_are_joined_by_one_at_least():
    with pytest.raises(ValueError, match="only 'clean'"):
        Features(MFCC(), "layer:1")
    with pytest.raises(ValueError, match="every is 0"):
        Features(MFCC(), every=0)


@pytest.mark.parametrize("make", [MFCC, conv, lambda: encoder(conv())])
def test_audio_shorter_than_a_frame_has_no_vectors(make: Callable[[], nn.Module]):
    features = Features(make(), "final" if isinstance(make(), SpeechEncoder) else "clean")
    out = features(audio(0.01))
    assert out.data.shape == (1, 0, features.dim) and out.lengths.tolist() == [0]
    assert features(audio(0.5, 0.01)).lengths.tolist()[1] == 0
