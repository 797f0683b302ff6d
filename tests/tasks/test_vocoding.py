"""Vocoding: equal to one pass however it is cut and batched, and one sentence about what cannot be said."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.tasks.vocoding import Vocoding
from speechunits.units.dedup import Dedup
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.units.units import Units
from tests.tasks.voiced import DURATIONS, GENERATOR, HOP, SPEAKER, STREAMS, voiced


def units(*lengths: int, fingerprint: str = "abc", vocab: tuple[int, ...] = (6,)) -> Units:
    rows = []
    for n in lengths:
        random = torch.Generator().manual_seed(n)
        rows.append(torch.stack([torch.randint(v, (n,), generator=random) for v in vocab], 1))
    return Units(pad(rows, HOP), vocab, fingerprint)


class Counted(torch.nn.Module):
    """The generator, which notes how much it is given at once."""

    def __init__(self, generator: torch.nn.Module) -> None:
        super().__init__()
        self.generator, self.given = generator, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.generator, name)

    def forward(self, x: Seq) -> Seq:
        self.given.append(tuple(x.data.shape[:2]))
        return self.generator(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("window", [90, 120, 5000])
def test_pieces_and_batches_change_nothing(window: int) -> None:
    """In float64, also where the whole is longer than the window and utterances are of all lengths."""
    made = voiced().double()
    given = units(400, 3, 50, 91, 12, 233)
    whole = [
        made({"units": one.ids.with_data(one.ids.data[..., 0])}).data[0]
        for one in map(units, (400, 3, 50, 91, 12, 233))
    ]
    made.generator = Counted(made.generator)
    said = Vocoding(made, window=window)(given)
    assert said.hop == Fraction(1, 16000) and said.lengths.tolist() == [n * 320 for n in (400, 3, 50, 91, 12, 233)]
    for row, alone in zip(unpad(said), whole, strict=True):
        torch.testing.assert_close(row, alone, rtol=0, atol=1e-12)
    passes = [shape for shape in made.generator.given if shape != (1, 65)]  # those of measuring its reach
    assert all(rows * frames <= window for rows, frames in passes), passes
    assert len(passes) == 1 or window < 5000


def test_what_hears_everything_is_made_whole() -> None:
    class Whole(torch.nn.Module):
        def __init__(self, generator: torch.nn.Module) -> None:
            super().__init__()
            self.inner, self.given = generator, []  # type: ignore[var-annotated]
            self.rate, self.factor, self.hop = generator.rate, generator.factor, generator.hop

        def forward(self, x: Seq) -> Seq:
            self.given.append(x.data.size(1))
            mean = (x.data * x.valid[..., None]).sum(1, keepdim=True) / x.lengths[:, None, None]
            return self.inner(x.with_data(x.data + mean))  # type: ignore[no-any-return]

    made = voiced().double()
    made.generator = Whole(made.generator)
    given = units(700)
    expected = made({"units": given.ids.with_data(given.ids.data[..., 0])}).data
    torch.testing.assert_close(Vocoding(made, window=100)(given).data, expected, rtol=0, atol=1e-12)
    assert made.generator.given[-1] == 700


def test_merged_units_and_speed() -> None:
    made, given = voiced(durations=DURATIONS), units(40, 25)
    vocoding, merged = Vocoding(made), Dedup()(given)
    assert vocoding(merged).data.equal(vocoding(given).data), "with their durations nothing is lost"
    assert vocoding(given, speed=2.0).lengths.tolist() == [20 * 320, 12 * 320]
    assert vocoding(merged, speed=0.5).lengths.tolist() == [80 * 320, 50 * 320]
    bare = Units(merged.ids, (6,), "abc")
    frames = made.expand({"units": merged.ids.with_data(merged.ids.data[..., 0])})["units"].lengths
    assert vocoding(bare).lengths.tolist() == (frames * 320).tolist()
    for speed in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"speed .*: give a number above 0"):
            vocoding(given, speed=speed)


def test_speakers_by_name() -> None:
    vocoding, given = Vocoding(voiced(conditions={"speaker": SPEAKER})), units(5, 8)
    both = vocoding(given, speaker=["bob", "ada"])
    torch.testing.assert_close(both.data[1], vocoding(given, speaker="ada").data[1])
    assert not both.data[0].equal(vocoding(given, speaker="ada").data[0])
    with pytest.raises(UserError, match="there is no speaker 'eve'; the known ones are: ada, bob"):
        vocoding(given, speaker="eve")
    with pytest.raises(UserError, match="name the speaker that this vocoder is to have: ada, bob"):
        vocoding(given)
    with pytest.raises(UserError, match="knows no speaker by name; leave it out"):
        Vocoding(voiced())(given, speaker="ada")
    with pytest.raises(UserError, match="also reads speaker, which was not given"):
        vocoding.speak({"units": given.ids})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fingerprint": "xyz"}, "trained on units of the tokenizer abc, and these are of xyz; encode with that"),
        ({"vocab": (6, 6)}, r"has codebooks of \[6\], and these units are of \[6, 6\]"),
    ],
)
def test_strangers_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Vocoding(voiced())(units(5, 8, **change))


def test_ids_that_are_in_no_codebook_are_named() -> None:
    vocoding, given = Vocoding(voiced()), units(5, 8)
    for wrong in (6, -1, -7, 10**6):
        data = given.ids.data.clone()
        data[1, 4, 0] = wrong
        with pytest.raises(UserError, match=f"^utterance 2 of 2: unit 5 is {wrong}, and the ids run from 0 to 5; "):
            vocoding(Units(given.ids.with_data(data), (6,), "abc"))
    with pytest.raises(UserError, match=r"^utterance 1 of 2: has no units; leave it out"):
        vocoding(
            Units(pad([torch.zeros(0, 1, dtype=torch.int64), torch.zeros(3, 1, dtype=torch.int64)], HOP), (6,), "abc")
        )
    with pytest.raises(UserError, match="a frame every 1/50 s, and these units have one every 1/25 s"):
        vocoding(Units(Seq(given.ids.data, given.ids.lengths, Fraction(1, 25)), (6,), "abc"))
    with pytest.raises(UserError, match="merged, and the vocoder has no durations"):
        vocoding(Units(Seq(given.ids.data, given.ids.lengths, None), (6,), "abc"))


def test_any_of_several_codebooks() -> None:
    fusion = {"_target_": "speechunits.inputs.attention_fusion.AttentionFusion"}
    tree = {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 5, "fusion": fusion}
    vocoding = Vocoding(voiced({"units": Stream(HOP, (6, 7), "abc")}, input=tree))
    given = units(9, vocab=(6, 7))
    part = given.ids.data.clone()
    part[..., 1] = -1
    heard = vocoding(Units(given.ids.with_data(part), (6, 7), "abc"))
    assert not heard.data.equal(vocoding(given).data) and bool(heard.data.isfinite().all())
    part[0, 3, 1] = 7
    with pytest.raises(UserError, match=r"^the utterance: unit 1 is -1, and the ids of codebook 2 run from 0 to 6"):
        vocoding(Units(given.ids.with_data(part), (6, 7), "abc"))
    with pytest.raises(UserError, match="has no units"):
        vocoding(Units(given.ids.with_data(torch.full_like(part, -1)), (6, 7), "abc"))


def test_what_is_in_time_with_the_units() -> None:
    streams = {**STREAMS, "features": Stream(HOP, (), "f", (2,))}
    vocoding, given = (
        Vocoding(voiced(streams, conditions={"beside": {"_target_": "tests.tasks.voiced.Beside"}})),
        units(9),
    )
    features = pad([torch.randn(9, 2)], HOP)
    assert vocoding.vocoder.labels == {"units": "abc", "features": "f"}
    assert not vocoding(given, features=features).data.equal(
        vocoding(given, features=pad([torch.zeros(9, 2)], HOP)).data
    )
    with pytest.raises(UserError, match="reads features in time with the units; leave the speed out"):
        vocoding(given, 1.5, features=features)
    with pytest.raises(UserError, match="also reads features, which was not given"):
        vocoding(given)


def test_nothing_is_clipped_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    given = units(30, 20)
    loud = voiced(generator={**GENERATOR, "gain": 4.0})
    loud.generator.up.weight.data *= 30
    with caplog.at_level(logging.WARNING):
        waves = Vocoding(loud)(given, ids=["a.wav", "b.wav"])
    assert float(waves.data.abs().max()) == 1.0 and [r.getMessage().split(":")[0] for r in caplog.records] == [
        "a.wav",
        "b.wav",
    ]
    assert "louder than full scale, so turned down by 12.0 dB" in caplog.records[0].getMessage()
    quiet = torch.nn.functional.normalize(waves.data[0], dim=0)
    raw = loud({"units": given.ids.with_data(given.ids.data[..., 0])}).data[0]
    torch.testing.assert_close(quiet, torch.nn.functional.normalize(raw, dim=0))
    caplog.clear()
    full = voiced()
    full.generator.up.weight.data *= 1e3
    with caplog.at_level(logging.WARNING):
        Vocoding(full)(units(30))
    assert "samples stand at full scale, where the generator cuts them off" in caplog.records[0].getMessage()
    full.generator.up.bias.data.fill_(float("nan"))
    with pytest.raises(UserError, match="the utterance: the vocoder gives samples that are no numbers"):
        Vocoding(full)(units(30))


def test_only_the_tokenizer_of_its_training() -> None:
    mel = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 10, "hop": "1/50"}
    source = build({"_target_": f"{Features.__module__}.Features", "source": mel})
    quantizer = build({"_target_": "speechunits.quantizers.kmeans.KMeans", "size": 6}, dim=source.dim)
    quantizer.centroids.normal_(0, 20)
    tokenizer = UnitTokenizer.join(source, quantizer)
    tokenizer.fingerprint = "abc"
    made: UnitVocoder = voiced()
    audio = Seq(torch.randn(1, 16000), torch.tensor([16000]), Fraction(1, 16000))
    said = Vocoding(made, tokenizer)(tokenizer.encode(audio))
    assert abs(said.data.size(1) - 16000) <= 640
    tokenizer.fingerprint = "other"
    with pytest.raises(UserError, match="the tokenizer abc, and these are of other"):
        Vocoding(made, tokenizer)
    features = voiced(
        {"features": Stream(HOP, (), "f", (5,))}, input={"_target_": "speechunits.inputs.feature_input.FeatureInput"}
    )
    with pytest.raises(UserError, match="this vocoder reads no units"):
        Vocoding(features, tokenizer)
    with pytest.raises(UserError, match="reads no units, so its speed cannot be changed; leave the speed out"):
        Vocoding(features).speak({"features": pad([torch.randn(4, 5)], HOP)}, 1.5)
    short = pad([torch.randn(4, 5), torch.randn(0, 5)], HOP)
    with pytest.raises(UserError, match=r"^utterance 2 of 2: too short for one frame; leave it out"):
        Vocoding(features).speak({"features": short})
