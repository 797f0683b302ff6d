"""The waveform convolutions: frames, fields of view, and what padding may change."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from speechunits.frontends.conv import ConvFrontend, normalized
from speechunits.seq import Seq, pad, unpad

RATE = Fraction(1, 16000)


def make(norm: str = "layer", **arguments) -> ConvFrontend:
    return ConvFrontend(channels=8, norm=norm, **arguments).double()


def audio(*lengths: int) -> Seq:
    return pad([torch.randn(n, dtype=torch.float64) for n in lengths], RATE)


def test_frames_are_those_of_one_window_of_400_every_320_samples():
    """The seven convolutions together: kernel 400, stride 320."""
    lengths = torch.arange(1, 5001)
    expected = torch.where(lengths < 400, 0, (lengths - 400) // 320 + 1)
    frontend = make()
    assert torch.equal(frontend.frames(lengths), expected)
    assert frontend.hop == Fraction(1, 50) and frontend.dim == 8


@pytest.mark.parametrize("samples", [400, 719, 720, 4999])
def test_frames_are_what_comes_out(samples: int):
    out = make()(audio(samples))
    assert out.data.shape == (1, int(out.lengths[0]), 8) and out.hop == Fraction(1, 50)


def test_frame_t_sees_samples_320_t_to_320_t_plus_399():
    x = audio(4000)
    x.data.requires_grad_()
    for t in (0, 3, 11):
        (gradient,) = torch.autograd.grad(make()(x).data[0, t].sum(), x.data)
        seen = gradient[0].nonzero().flatten()
        assert (int(seen.min()), int(seen.max())) == (320 * t, 320 * t + 399)


def test_layer_norm_features_ignore_the_batch():
    frontend, x = make("layer"), audio(4000, 2100, 400)
    batch = frontend(x)
    for i, item in enumerate(unpad(x)):
        alone = frontend(pad([item], RATE))
        torch.testing.assert_close(batch.data[i, : int(alone.lengths[0])], alone.data[0], rtol=0, atol=1e-10)
        assert int(batch.lengths[i]) == int(alone.lengths[0])


def test_group_norm_features_do_not_ignore_the_batch():
    """The documented exception: every published base model normalises over the padded time."""
    frontend, x = make("group"), audio(4000, 2100)
    alone = frontend(pad([unpad(x)[1]], RATE))
    batch = frontend(x).data[1, : alone.data.size(1)]
    assert float((batch - alone.data[0]).detach().abs().max()) > 1e-2


def test_normalised_audio_is_layer_norm_of_each_utterance_alone():
    """Loud, quiet with an offset, and silent: what fairseq does to each file before it pads the batch."""
    items = [
        3 * torch.randn(4000, dtype=torch.float64),
        0.01 * torch.randn(2100, dtype=torch.float64) + 0.25,
        torch.zeros(900, dtype=torch.float64),
    ]
    x = pad(items, RATE)
    x.data[1, 2100:] = 7.0  # whatever lies in the padding
    out = normalized(x)
    for row, item in zip(out.data, items, strict=True):
        torch.testing.assert_close(row[: len(item)], F.layer_norm(item, item.shape), rtol=0, atol=1e-10)
        assert not row[len(item) :].any()
    torch.manual_seed(0)
    plain = make()
    torch.manual_seed(0)
    frontend = make(normalize_audio=True)
    expected = plain(pad([F.layer_norm(item, item.shape) for item in items], RATE)).data
    torch.testing.assert_close(frontend(x).data, expected, rtol=0, atol=1e-10)
    single = Seq(x.data[1:2, :2100].float(), x.lengths[1:2], RATE)
    assert torch.equal(normalized(single).data[0], normalized(Seq(x.data.float(), x.lengths, RATE)).data[1, :2100])


def test_the_gradient_that_enters_is_scaled():
    x = audio(1000)
    torch.manual_seed(0)
    one = make()
    torch.manual_seed(0)
    tenth = make(grad_scale=0.1)
    assert torch.equal(one(x).data, tenth(x).data)
    for frontend in (one, tenth):
        frontend(x).data.square().sum().backward()
    for a, b in zip(one.parameters(), tenth.parameters(), strict=True):
        torch.testing.assert_close(b.grad, 0.1 * a.grad)


def test_other_rates_and_shapes_are_refused():
    with pytest.raises(ValueError, match="takes audio at 16000 Hz, found 8000 Hz"):
        make()(Seq(torch.randn(1, 800).double(), torch.tensor([800]), Fraction(1, 8000)))
    with pytest.raises(ValueError, match="2 kernels but 1 strides"):
        ConvFrontend(kernels=[3, 3], strides=[2])


def test_normalised_audio_as_transformers_feature_extractor_gives_it():
    """Its 1e-7 under the root instead of fairseq's 1e-5 decides the level of quiet audio."""
    from transformers import Wav2Vec2FeatureExtractor

    quiet = pad([0.001 * torch.randn(n).double() + 0.01 for n in (4000, 2500)], RATE)
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)
    for eps, agrees in ((1e-7, True), (1e-5, False)):
        ours = normalized(quiet, eps)
        for row, heard in zip(unpad(ours), unpad(quiet), strict=True):
            expected = torch.from_numpy(theirs(heard.numpy(), sampling_rate=16000).input_values[0]).double()
            assert torch.allclose(row, expected, rtol=0, atol=1e-5) == agrees
