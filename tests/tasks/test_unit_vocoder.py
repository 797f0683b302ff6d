"""UnitVocoder: what reaches the generator, durations in both directions, and a folder that needs nothing but itself."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import check_build
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.part import ConfigError
from speechunits.protocols import Predicts
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.tasks.unit_vocoder import UnitVocoder
from tests.tasks.voiced import DURATIONS, GENERATOR, HOP, INPUT, SPEAKER, STREAMS, voiced

VOICE = {"_target_": "speechunits.inputs.voice_input.VoiceInput", "dim_in": 4, "dim": 2}
BOTH = {"speaker": SPEAKER, "voice": VOICE}


def batch(*lengths: int) -> dict[str, Any]:
    """Utterances of so many frames, each the same whatever stands beside it."""
    rows, voices = [], []
    for n in lengths:
        random = torch.Generator().manual_seed(n)
        rows.append(torch.randint(6, (n,), generator=random).sort().values)
        voices.append(torch.randn(4, generator=random, dtype=torch.float64))
    ids = [str(n) for n in lengths]
    names = ["ada" if n % 2 else "bob" for n in lengths]
    return {"units": pad(rows, HOP), "speaker": names, "voice": torch.stack(voices), "draws": draws(ids), "ids": ids}


def test_conditions_stand_beside_the_frames() -> None:
    made, given = voiced(conditions=BOTH).double(), batch(7, 4)
    frames = made.frames(given)
    unit = made.input.embeddings[0].weight[given["units"].data.clamp(min=0)]
    speaker = made.conditions["speaker"].vectors.weight[torch.tensor([0, 1])]
    voice = made.conditions["voice"].linear(given["voice"])
    beside = torch.cat([speaker, voice], 1)[:, None].expand(-1, 7, -1)
    expected = torch.cat([unit, beside], -1) * given["units"].valid[..., None]
    torch.testing.assert_close(frames.data, expected)
    assert made.generator.dim == 5 + 3 + 2 == frames.data.size(2) and frames.hop == HOP
    assert made.speakers == ("ada", "bob") and made.rate == 16000 and made.labels == {"units": "abc"}
    assert voiced().speakers == ()


@pytest.mark.parametrize("dropout", [False, True])
def test_a_batch_gives_the_waveforms_of_its_utterances(dropout: bool) -> None:
    two = {"units": Stream(HOP, (6, 6), "abc")}
    hidden = {"corruption": {"_target_": "speechunits.inputs.codebook_dropout.CodebookDropout"}}
    made = voiced(two, conditions=BOTH, input=INPUT | hidden).double()

    def stacked(*lengths: int) -> dict[str, Any]:
        given = batch(*lengths)
        return given | {"units": given["units"].with_data(torch.stack([given["units"].data] * 2, 2))}

    given = stacked(9, 3, 6)
    waves = made(given, given["draws"] if dropout else None)
    assert waves.data.shape == (3, 9 * 320) and waves.lengths.tolist() == [9 * 320, 3 * 320, 6 * 320]
    assert waves.hop == HOP / 320
    for row, n in zip(unpad(waves), (9, 3, 6), strict=True):
        one = stacked(n)
        alone = made(one, one["draws"] if dropout else None)
        torch.testing.assert_close(row, alone.data[0], rtol=0, atol=1e-12)
    assert bool((waves.data[~waves.valid] == 0).all()) and bool((waves.data.abs() <= 1).all())


def test_durations_are_learned_from_inner_runs() -> None:
    """Against one utterance at a time, with the vectors of inner runs alone before the predictor."""
    made, given = voiced(durations=DURATIONS).double().eval(), batch(12, 1, 20, 3)
    assert made.durations is not None
    num, den = 0.0, 0
    for row in unpad(given["units"]):
        runs = [(unit, len(list(run))) for unit, run in groupby(row.tolist())]
        runs = runs[1:-1] if len(runs) > 2 else runs
        vectors = made.input.embeddings[0].weight[torch.tensor([unit for unit, _ in runs])]
        said = made.durations(Seq(vectors[None], torch.tensor([len(vectors)]), None))[0]
        truth = torch.tensor([n + 1 for _, n in runs], dtype=torch.float64).log()
        num, den = num + float((said - truth).square().sum()), den + len(runs)
    terms = made.duration_terms(given)
    torch.testing.assert_close(float(terms["duration"].num), num)
    assert int(terms["duration"].den) == den == int(made.duration_counts(given)["duration"])
    terms["duration"].num.backward()
    assert made.input.embeddings[0].weight.grad is not None, "embeddings learn from durations too, as in the reference"
    assert voiced().duration_terms(given) == {} == voiced().duration_counts(given)


def test_merged_units_are_expanded() -> None:
    made = voiced(durations=DURATIONS)
    merged = pad([torch.tensor([3, 1, 4]), torch.tensor([2, 0])], None)
    given = {"units": merged, "durations": pad([torch.tensor([2, 1, 3]), torch.tensor([1, 2])], HOP)}
    expanded = made.expand(given)
    assert expanded["units"].hop == HOP and "durations" not in expanded
    assert [row.tolist() for row in unpad(expanded["units"])] == [[3, 3, 1, 4, 4, 4], [2, 0, 0]]
    assert [row.tolist() for row in unpad(made.expand(given, 2.0)["units"])] == [[3, 1, 4], [2, 0]]
    predicted = made.expand({"units": merged})
    frames = made.durations.frames(made.input({"units": merged}))
    for row, ids, counts in zip(unpad(predicted["units"]), unpad(merged), unpad(merged.with_data(frames)), strict=True):
        assert row.tolist() == ids.repeat_interleave(counts).tolist()
    alone = made.expand({"units": pad([torch.tensor([2, 0])], None)})
    assert alone["units"].data[0].tolist() == unpad(predicted["units"])[1].tolist()
    whole = {"units": pad([torch.tensor([5, 5, 5, 5, 1, 1])], HOP)}
    assert made.expand(whole) is whole and made.expand(whole, 2.0)["units"].data.tolist() == [[5, 5, 1]]
    assert made.predict({"units": merged})["audio"].lengths.tolist() == (predicted["units"].lengths * 320).tolist()
    with pytest.raises(UserError, match="merged, and the vocoder has no durations; give units with durations"):
        voiced().expand({"units": merged})


def test_a_folder_gives_it_back(tmp_path: Path) -> None:
    made, given = voiced(conditions=BOTH, durations=DURATIONS), batch(7, 4)
    given["voice"] = given["voice"].float()
    name = store.save(made, tmp_path / "vocoder", kind="vocoder")
    back = store.restore(tmp_path / "vocoder", expect=UnitVocoder)
    assert back.fingerprint == name == store.identity(made) and isinstance(back, Predicts)
    assert back.labels == made.labels and back.speakers == made.speakers
    assert back(given).data.equal(made(given).data)
    merged = {**given, "units": pad([torch.tensor([3, 1, 4]), torch.tensor([2, 0])], None)}
    assert back.predict(merged)["audio"].data.equal(made.predict(merged)["audio"].data)
    back.fold()
    assert back.generator.folded and back(given).data.equal(made(given).data)


def test_what_does_not_meet_is_refused() -> None:
    with pytest.raises(ConfigError, match="merged units have no hop; train on the units of all frames"):
        voiced({"units": Stream(None, (6,), "abc+dedup")})
    features = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}
    vectors = {"features": Stream(HOP, (), "f", (5,))}
    with pytest.raises(ConfigError, match="durations: are those of units"):
        voiced(vectors, input=features, durations=DURATIONS)
    made = voiced(vectors, input=features)
    given = {"features": pad([torch.randn(4, 5)], HOP)}
    assert made(given).data.shape == (1, 4 * 320) and made.expand(given) is given
    with pytest.raises(UserError, match="reads no units, so its speed cannot be changed"):
        made.expand(given, 1.5)
    tree = {"_target_": "speechunits.tasks.unit_vocoder.UnitVocoder", "input": INPUT, "generator": GENERATOR}
    found = check_build({**tree, "conditions": {"speaker": {**SPEAKER, "dimm": 3}}}, at="model", streams=STREAMS)
    assert found and "model.conditions.speaker.dimm" in found[0] and "did you mean 'dim'" in found[0]
