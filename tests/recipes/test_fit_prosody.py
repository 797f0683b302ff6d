"""Prosody from audio to conditions: stored by extract_features, read by FeaturesField, measured by fit_prosody, heard."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut

from recipes.extract_features import extract_features
from recipes.extract_units import extract_units
from recipes.fit_prosody import fit_prosody
from recipes.fit_units import fit_units
from recipes.list_names import list_names
from recipes.train import train
from speechunits import store
from speechunits.config import build
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, FeaturesField, SpeakerField, UnitsField
from speechunits.data.transforms import Crop
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.seq import Seq, unpad
from speechunits.tasks.prosody_predictor import ProsodyPredictor
from tests.frontends.voices import prosody, voice
from tests.recipes.toy import Corpus, fit_arguments, save

PITCHES = {"al": 110.0, "bo": 210.0}


def cut(folder: Path, speaker: str, number: int) -> Cut:
    """0.6 s or more of a voice that rises by a fifth, between silences; cy whispers."""
    n, random = 9600 + 800 * number, np.random.default_rng(number)
    path = folder / f"{speaker}{number}.wav"
    said = 0.2 * random.normal(size=n) if speaker == "cy" else voice(np.geomspace(1, 1.5, n) * PITCHES[speaker])
    silence = 1e-4 * random.normal(size=3200)
    soundfile.write(path, np.concatenate([silence, said, silence]), 16000)
    made = Recording.from_file(path).to_cut()
    made.supervisions = [SupervisionSegment(path.stem, path.stem, 0, made.duration, speaker=speaker)]
    return made


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    cuts = save([cut(folder, who, i) for who in ("al", "bo", "cy") for i in range(3)], folder / "train.jsonl.gz")
    given = [f"cuts.train={cuts}", f"out={folder / 'prosody'}", "field=prosody", "max_seconds=3"]
    run(extract_features, ["features/prosody.yaml", *given])
    return folder / "prosody" / "train.jsonl.gz"


def test_stored_prosody_is_the_frontends_in_step_with_audio(stored: Path) -> None:
    cuts, frontend, audio = open_cuts(stored), prosody(), AudioField()
    field = FeaturesField(key="prosody").bind(cuts)
    assert field.stream is not None and (field.stream.hop, field.stream.shape) == (Fraction(1, 50), (3,))
    for each in cuts:
        wanted = frontend(audio.collate([audio.load(each)])).data[0]
        torch.testing.assert_close(field.load(each), wanted, rtol=1e-3, atol=1e-3)
    fields = {"audio": audio, "prosody": FeaturesField(key="prosody"), "speaker": SpeakerField()}
    batch = BatchDataset(cuts, fields, [Crop(0.33)])[Planned(1, (0, 4))].batch
    for samples, row in zip(unpad(batch["audio"]), unpad(batch["prosody"]), strict=True):
        energy = samples.unfold(0, 400, 320).square().mean(-1).sqrt().log()
        torch.testing.assert_close(row[: len(energy), 2], energy, rtol=1e-3, atol=5e-3)


def test_speakers_are_measured_and_heard(stored: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mark = run(fit_prosody, [f"out={tmp_path}", f"cuts={stored}"])
    assert (mark["speakers"], mark["left_out"]) == (2, 1) and "no frame of cy is voiced: left out" in caplog.text
    speakers, cuts = store.restore(tmp_path / "speakers"), open_cuts(stored)
    assert store.read_meta(tmp_path / "speakers")["derived_from"] == [cuts.streams["prosody"].fingerprint]
    for name, mean, deviation in zip(speakers.names, speakers.mean[:, 0], speakers.deviation[:, 0], strict=True):
        assert abs(12 * float(mean - math.log(PITCHES[name] * math.sqrt(1.5))) / math.log(2)) < 0.3
        assert abs(float(deviation) - math.log(1.5) / math.sqrt(12)) < 0.02  # of a straight line
    fields = {"prosody": FeaturesField(key="prosody"), "speaker": SpeakerField()}
    dataset = BatchDataset(cuts, fields)
    batch = dataset[Planned(0, (0, 1, 3))].batch
    tree = {
        "_target_": "speechunits.inputs.pitch_input.PitchInput",
        "dim": 3,
        "speakers": {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "speakers")},
    }
    made = build(tree, streams=dataset.streams)
    frames = Seq(torch.zeros(*batch["prosody"].data.shape[:2], 1), batch["prosody"].lengths, Fraction(1, 50))
    assert made(batch, frames).shape == (*frames.data.shape[:2], 3)
    with pytest.raises(UserError, match="the prosody of cy was not measured"):
        made({**batch, "speaker": ["al", "al", "cy"]}, frames)


def test_other_fields_are_refused(stored: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no stored features prosody \(it has none\)"):
        run(fit_prosody, [f"out={tmp_path / 'a'}", f"cuts={corpus.train}"])
    given = ["features._target_=speechunits.units.features.Features", "field=mfcc", "max_seconds=3"]
    source = [
        "features.source._target_=speechunits.frontends.mfcc.MFCC",
        f"cuts.train={stored}",
        f"out={tmp_path / 'b'}",
    ]
    run(extract_features, [*given, *source])
    with pytest.raises(UserError, match=r"has the shape \(39,\), so it is no prosody"):
        run(fit_prosody, [f"out={tmp_path / 'c'}", f"cuts={tmp_path / 'b' / 'train.jsonl.gz'}", "field=mfcc"])
    assert not (tmp_path / "c" / "speakers").exists()


@pytest.mark.slow
def test_a_predictor_is_trained_on_what_was_stored(stored: Path, tmp_path: Path) -> None:
    """Units beside the prosody, names, speakers, a training of three updates: its folder predicts for a voice of its own."""
    audio = f"cuts={stored}"
    run(
        fit_units,
        [*fit_arguments(Corpus(tmp_path, stored, stored, stored), tmp_path / "km"), "features.source.hop=1/50"],
    )
    run(
        extract_units,
        [f"out={tmp_path / 'units'}", f"tokenizer={tmp_path / 'km' / 'tokenizer'}", f"cuts.train={stored}"],
    )
    run(list_names, [f"out={tmp_path / 'list'}", audio])
    run(fit_prosody, [f"out={tmp_path / 'measured'}", audio])
    size = [
        "input.dim=8",
        "encoder.dim=8",
        "encoder.depth=1",
        "encoder.block.ffn=16",
        "contours.hidden=8",
        "durations.hidden=8",
    ]
    made = [
        f"conditions.speaker.names.folder={tmp_path / 'list' / 'names'}",
        f"speakers.folder={tmp_path / 'measured' / 'speakers'}",
    ]
    whisper = "model.speakers.changes.unknown=utterance"  # whom fit_prosody could not measure
    data = [f"data.train={tmp_path / 'units' / 'train.jsonl.gz'}", "data.max_seconds=3", "data.num_workers=0"]
    given = [
        *(f"model.{each}" for each in (*size, *made)),
        whisper,
        *data,
        "trainer.max_steps=3",
        f"out={tmp_path / 'run'}",
    ]
    mark = run(train, ["system/unit_prosody.yaml", "trainer/cpu.yaml", *given])
    assert mark["steps"] == 3
    model = store.restore(tmp_path / "run" / "prosody", expect=ProsodyPredictor)
    cuts = open_cuts(tmp_path / "units" / "train.jsonl.gz")
    assert model.labels == {name: cuts.streams[name].fingerprint for name in ("units", "prosody")}
    dataset = BatchDataset(cuts, {"units": UnitsField(), "speaker": SpeakerField()})
    batch = dataset[Planned(0, (0, 3))].batch
    found = model.predict({**batch, "speaker": ["bo", "al"]})
    assert found["prosody"].lengths.equal(batch["units"].lengths) and found["prosody"].data.isfinite().all()
