"""Stored codes meet frames without bias: labels made at 100 Hz, frames at 50 Hz, crops in between."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.frontends.conv import ConvFrontend
from speechunits.frontends.mfcc import MFCC
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.targets.stored import StoredUnits

HZ50, RATE = Fraction(1, 50), Fraction(1, 16000)


def conv() -> ConvFrontend:
    torch.manual_seed(0)
    return ConvFrontend(channels=4, norm="layer").double()


def audio(*waves: torch.Tensor) -> Seq:
    return Seq(torch.stack(waves), torch.full((len(waves),), len(waves[0])), RATE)


def test_every_length_has_one_label_per_frame():
    lengths = torch.arange(400, 5001)
    labels, frames = MFCC().frames(lengths), conv().frames(lengths)
    assert torch.equal(frames, -(-labels // 2))


def test_an_event_reaches_the_frame_and_the_label_of_the_frame_together():
    """A click at every 20th sample: the frames it changes are exactly those whose (every second) label it changes.

    Frame t sees samples 320 t ... 320 t + 399, and so does MFCC label 2 t: one window, one centre, no bias.
    """
    silence = torch.zeros(3200, dtype=torch.float64)
    clicks = torch.arange(0, 3200, 20)
    waves = silence.repeat(len(clicks), 1)
    waves[torch.arange(len(clicks)), clicks] = 100.0
    frontend, mfcc = conv(), MFCC(deltas=False).double()
    frames = (frontend(audio(*waves)).data - frontend(audio(silence)).data).abs().sum(-1) > 1e-9
    labels = (mfcc(audio(*waves)).data - mfcc(audio(silence)).data).abs().sum(-1) > 1e-9
    aligned = Seq(labels.long(), torch.full((len(clicks),), labels.size(1)), Fraction(1, 100)).at(HZ50, frames.size(1))
    assert torch.equal(aligned.data.bool(), frames)
    window = 320 * torch.arange(frames.size(1))
    assert torch.equal(frames, (clicks[:, None] >= window) & (clicks[:, None] < window + 400))


@pytest.mark.parametrize("frame", [1, 4, 13])
def test_a_crop_at_a_frame_keeps_the_labels_of_its_frames(frame: int):
    """A crop that starts at frame k has the features of frames k, k + 1, ... and so takes labels from 2 k on.

    The counter-example: torchaudio's recipe (examples/hubert, ``_collate_audio_label``) starts labels at
    floor((start - 400) / 320), two frames before the audio.
    """
    wave, frontend = torch.randn(8000, dtype=torch.float64), conv()
    start = 320 * frame
    whole, crop = frontend(audio(wave)).data[0], frontend(audio(wave[start:])).data[0]
    torch.testing.assert_close(crop, whole[frame:], rtol=0, atol=1e-10)
    labels = torch.arange(int(MFCC().frames(torch.tensor([8000]))))[None]
    cropped = labels[:, start // 160 :]
    aligned = Seq(cropped, torch.tensor([cropped.size(1)]), Fraction(1, 100)).at(HZ50, len(crop)).data[0]
    assert aligned.tolist() == [2 * (frame + t) for t in range(len(crop))]
    early = (start - 400) // 320
    assert early == frame - 2


def make(hop: Fraction | None = HZ50, field: str = "units") -> StoredUnits:
    return StoredUnits(field, streams={"units": Stream(hop, (7,), "x")}, hop=HZ50)


def test_codes_are_read_from_the_batch_before_and_after_the_pass():
    target = make()
    codes = Seq(torch.tensor([[1, 2]]), torch.tensor([2]), HZ50)
    assert target.lengths({"units": codes}) is codes and target(None, {"units": codes}) is codes
    assert target.vocab == (7,)


def test_what_the_data_lacks_is_named():
    with pytest.raises(ValueError, match="no field 'km500' of stored codes; it has: units"):
        make(field="km500")


@pytest.mark.parametrize(("hop", "fits"), [("1/100", True), ("1/25", True), ("3/100", False), (None, False)])
def test_rates_that_do_not_meet_are_refused_at_once(hop: str | None, fits: bool):
    if fits:
        make(Fraction(hop))
    else:
        with pytest.raises(ValueError, match=r"not an integer|without a hop"):
            make(None if hop is None else Fraction(hop))
