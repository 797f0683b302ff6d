"""Samples from a pipe: values, bytes that come in odd pieces, and no samples at all."""

from __future__ import annotations

import io

import pytest
import torch

from speechunits.data.pcm import pcm_blocks
from speechunits.errors import UserError


class Drips(io.BytesIO):
    """A pipe that has three bytes at a time."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(min(3, size or 3))


def test_values_do_not_depend_on_the_pieces_in_which_they_come() -> None:
    data = b"\x00\x00\xff\x7f\x00\x80\x01\x00\xff\xff"
    expected = torch.tensor([0, 32767, -32768, 1, -1]) / 32768
    (whole,) = pcm_blocks(io.BytesIO(data))
    assert torch.equal(whole, expected) and whole.dtype == torch.float32
    assert torch.equal(torch.cat(list(pcm_blocks(Drips(data)))), expected)


@pytest.mark.parametrize(("data", "says"), [(b"", "has no sample"), (b"abc", "ends in the middle of a sample")])
def test_what_is_no_pcm(data: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        list(pcm_blocks(io.BytesIO(data)))
