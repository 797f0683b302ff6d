from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.bitrate import Bitrate, dsu_bitrate, entropy_bitrate
from speechunits.metrics.measure import merge
from speechunits.seq import Seq, pad

HOP = Fraction(1, 50)


def test_hand_computed() -> None:
    # 8 tokens in 0.5 s, p = 1/2, 1/4, 1/4: 16 tokens/s of 1.5 bits
    assert entropy_bitrate(torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]), 0.5) == pytest.approx(24)
    assert entropy_bitrate(torch.zeros(8, dtype=torch.long), 0.5) == 0
    # the challenge's figure: two streams of 50 and 25 tokens/s with 1000 and 500 codes
    assert dsu_bitrate([100, 50], [1000, 500], 2.0) == pytest.approx(math.log2(50 * 1000) + math.log2(25 * 500))


def test_over_utterances_and_shards() -> None:
    rows = [torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0])]
    whole, parts = Bitrate(vocab=(4,)), [Bitrate(vocab=(4,)) for _ in rows]
    whole.update({"units": pad(rows, HOP)}, {"ids": ["a", "b"]})
    for part, row, key in zip(parts, rows, "ab", strict=True):
        part.update({"units": pad([row], HOP)}, {"ids": [key]})
    out = whole.compute()
    seconds = 6 / 50
    third = -1 / 3 * math.log2(1 / 3) - 2 / 3 * math.log2(2 / 3)
    assert out["bitrate"] == pytest.approx(6 / seconds * third)
    assert out["bitrate_dedup"] == pytest.approx(3 / seconds * third)  # 0 1 | 0
    assert out["dsu_bitrate"] == pytest.approx(math.log2(50) + 2)
    assert out["dsu_bitrate_dedup"] == pytest.approx((math.log2(2 / 0.08) + math.log2(1 / 0.04)) / 2 + 2)
    joined = Bitrate(vocab=(4,))
    joined.load(merge(p.state() for p in parts))
    assert joined.compute() == out


def test_codebooks_add_up() -> None:
    both = Bitrate(vocab=(2, 2))
    both.update({"units": pad([torch.tensor([[0, 0], [1, 1], [0, 0], [1, 1]])], HOP)}, {"ids": ["a"]})
    assert both.compute()["bitrate"] == pytest.approx(100)


def test_units_without_hop_need_audio() -> None:
    units = pad([torch.tensor([0, 1])], None)
    with pytest.raises(UserError, match="add the field 'audio' or 'durations'"):
        Bitrate(vocab=(2,)).update({"units": units}, {"ids": ["a"]})
    audio = Seq(torch.zeros(1, 20000), torch.tensor([16000]), Fraction(1, 16000))
    out = Bitrate(vocab=(2,))
    out.update({"units": units}, {"ids": ["a"], "audio": audio})
    assert out.compute()["bitrate"] == pytest.approx(2)
    assert out.compute()["dsu_bitrate"] == pytest.approx(2)


def test_empty_utterance() -> None:
    empty = Seq(torch.full((1, 2), -1), torch.tensor([0]), HOP)
    with pytest.raises(UserError, match="a: no units"):
        Bitrate(vocab=(2,)).update({"units": empty}, {"ids": ["a"]})


def test_merged_units_and_subwords_with_their_durations() -> None:
    """6 frames as 3 units of 3, 1 and 2 frames: 25 units/s of log2(3) bits, and as much for their durations."""
    made = Bitrate(vocab=(9,))
    batch = {"ids": ["a"], "durations": pad([torch.tensor([3, 1, 2])], HOP)}
    made.update({"units": pad([torch.tensor([3, 1, 7])], None)}, batch)
    found = made.compute()
    assert found["tokens_per_second"] == found["tokens_per_second_dedup"] == pytest.approx(3 / (6 / 50))
    assert found["bitrate"] == found["bitrate_durations"] == pytest.approx(3 / (6 / 50) * math.log2(3))
    frames = Bitrate(vocab=(9,))
    frames.update({"units": pad([torch.tensor([3, 3, 3, 1, 7, 7])], HOP)}, {"ids": ["a"]})
    whole = frames.compute()
    assert whole["tokens_per_second"] == 50 and whole["tokens_per_second_dedup"] == found["tokens_per_second"]
    assert whole["bitrate_dedup"] == found["bitrate"] and "bitrate_durations" not in whole
    joined = Bitrate(vocab=(9,))
    joined.load(merge([made.state()]))
    assert joined.compute() == found


def test_what_a_voice_is_given() -> None:
    """6 frames of 2 runs: 1 bit for each of them, for its length and for its share of F0; one of 8 speakers."""
    frames, pitch = torch.tensor([3, 3, 3, 3, 1, 1]), torch.tensor([0, 0, 0, 5, 5, 5])
    measure = Bitrate(speakers=8, vocab=(9,))
    measure.update({"units": pad([frames], HOP)}, {"ids": ["a"], "pitch": pad([pitch], HOP)})
    found, seconds = measure.compute(), 6 / 50
    assert found["bitrate_dedup"] == found["bitrate_runs"] == pytest.approx(2 / seconds)
    assert found["bitrate_pitch"] == pytest.approx(6 / seconds) and found["bitrate_speaker"] == pytest.approx(
        3 / seconds
    )
    assert found["bitrate_voice"] == pytest.approx((2 + 2 + 6 + 3) / seconds)
    joined = Bitrate(speakers=8, vocab=(9,))
    joined.load(merge([measure.state()]))
    assert joined.compute() == found
    merged = Bitrate(speakers=1, vocab=(9,))
    batch = {"ids": ["a"], "durations": pad([torch.tensor([4, 2])], HOP)}
    merged.update({"units": pad([torch.tensor([3, 1])], None)}, batch)
    assert merged.compute()["bitrate_voice"] == pytest.approx(4 / seconds) and merged.compute()["bitrate_speaker"] == 0
    with pytest.raises(ValueError, match="0 is no number of voices"):
        Bitrate(speakers=0, vocab=(9,))
