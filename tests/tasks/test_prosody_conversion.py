"""Conversion of prosody: statistics of the target, contour of the source; other durations, the same melody; there and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.nn.prosody_scale import ProsodyScale, own_scale
from speechunits.seq import Seq, pad, unpad
from speechunits.tasks.prosody_conversion import merged, repeated, retimed, revoiced
from tests.nn.test_prosody_scale import rows

HOP = Fraction(1, 50)


def test_the_melody_gets_the_statistics_of_the_target() -> None:
    """Against the equation in numpy, (x - mean of source) / deviation of source * deviation of target + mean of target."""
    source, target = pad(rows(60, 40), HOP), pad([row + torch.tensor([0.7, 0, 2]) for row in rows(45, 80)], HOP)
    target.data[..., 0] *= target.data[..., 1]
    before, wanted = own_scale(source), own_scale(target)
    moved = revoiced(source, before, wanted)
    torch.testing.assert_close(own_scale(moved).mean[:, 0], wanted.mean[:, 0])
    torch.testing.assert_close(own_scale(moved).deviation[:, 0], wanted.deviation[:, 0], atol=1e-4, rtol=1e-4)
    for i, row in enumerate(unpad(source)):
        x, (m, d), (n, e) = (
            row[:, 0].numpy(),
            *[(s.mean[i, 0].item(), s.deviation[i, 0].item()) for s in (before, wanted)],
        )
        expected = np.where(row[:, 1] > 0.5, (x - m) / d * e + n, 0)
        np.testing.assert_allclose(unpad(moved)[i][:, 0].numpy(), expected, atol=1e-5)
    assert moved.data[..., 1:].equal(source.data[..., 1:]), "voicing and energy stay"
    torch.testing.assert_close(revoiced(moved, wanted, before).data, source.data)


def test_a_target_without_a_voice_is_refused() -> None:
    source = pad(rows(20), HOP)
    silent = source.with_data(torch.zeros_like(source.data))
    with pytest.raises(UserError, match="no frame of the target speaker is voiced"):
        revoiced(source, own_scale(source), own_scale(silent))
    assert not revoiced(silent, own_scale(silent), own_scale(source)).data.any()


def test_units_are_stretched_and_shrunk_each_for_itself() -> None:
    prosody = pad([torch.arange(9.0)[:, None].expand(-1, 3), torch.arange(3.0)[:, None].expand(-1, 3)], HOP)
    before = pad([torch.tensor([2, 4, 3]), torch.tensor([3])], HOP)
    after = pad([torch.tensor([4, 2, 3]), torch.tensor([1])], HOP)
    found = retimed(prosody, before, after)
    assert found.lengths.tolist() == [9, 1] and found.hop == HOP
    assert unpad(found)[0][:, 0].tolist() == [0, 0, 1, 1, 3, 5, 6, 7, 8] and unpad(found)[1][:, 0].tolist() == [1]
    torch.testing.assert_close(retimed(prosody, before, before).data, prosody.data)
    short = pad([row[:-1] for row in unpad(prosody)], HOP)  # a frame less than the units say
    assert unpad(retimed(short, before, after))[0][-2:, 0].tolist() == [7, 7]
    with pytest.raises(ValueError, match="of different units"):
        retimed(prosody, before, pad([torch.tensor([4, 2]), torch.tensor([1])], HOP))


@pytest.mark.parametrize("shape", [(), (2,)])
def test_runs_are_merged_and_repeated(shape: tuple[int, ...]) -> None:
    units = pad([torch.randint(2, (n, *shape)) for n in (30, 1, 17)], HOP)
    ids, frames = merged(units)
    assert ids.hop is None and frames.hop == HOP and ids.lengths.equal(frames.lengths)
    assert [int(row.sum()) for row in unpad(frames)] == units.lengths.tolist()
    for row in unpad(ids):
        assert (row[1:] != row[:-1]).reshape(len(row) - 1, int(np.prod(shape))).any(-1).all()
    back = repeated(ids, frames)
    assert back.data.equal(units.data) and back.lengths.equal(units.lengths) and back.hop == HOP


def test_a_scale_is_for_each_utterance() -> None:
    source = pad(rows(10, 10), HOP)
    up = ProsodyScale(torch.tensor([[5.0, 0.0], [6.0, 0.0]]), torch.ones(2, 2))
    moved = revoiced(source, ProsodyScale(torch.full((2, 2), 5.0), torch.ones(2, 2)), up)
    assert isinstance(moved, Seq) and moved.data[0].allclose(source.data[0])
    voiced = source.data[1, :, 1] > 0.5
    torch.testing.assert_close(moved.data[1, voiced, 0], source.data[1, voiced, 0] + 1)
