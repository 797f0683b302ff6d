"""Units and audio files to audio files on the command line, and one sentence about what cannot be said."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechunits import store
from speechunits.config import build
from speechunits.data.read_audio import read_audio
from speechunits.stream import Stream
from speechunits.tasks.vocoding import Vocoding
from speechunits.units.tokenizer import UnitTokenizer
from tests.cli.sounds import wave
from tests.tasks.voiced import DURATIONS, SPEAKER, Loudness, voiced


@pytest.fixture(scope="module")
def streams(tokenizer: Path) -> dict[str, Stream]:
    return {"units": UnitTokenizer.load(tokenizer).stream}


@pytest.fixture(scope="module")
def vocoder(streams: dict[str, Stream], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocoder") / "vocoder"
    store.save(voiced(streams, conditions={"speaker": SPEAKER}, durations=DURATIONS), folder, kind="vocoder")
    return folder


@pytest.fixture(scope="module")
def plain(streams: dict[str, Stream], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vocoder") / "plain"
    store.save(voiced(streams), folder, kind="vocoder")
    return folder


def heard(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16000 and soundfile.info(path).subtype == "PCM_16"
    return samples


def expected(vocoder: Path, tokenizer: Path, audio: Path, **how: Any) -> np.ndarray:
    units = UnitTokenizer.load(tokenizer).encode(read_audio(audio))
    said = Vocoding(store.restore(vocoder))(units, **how).data[0]
    return np.round(said.double().numpy() * 32767)


def test_units_to_files(speechunits: Any, tokenizer: Path, vocoder: Path, tmp_path: Path) -> None:
    """Lines of all frames and merged ones with durations sound alike; those without last as predicted."""
    wave(tmp_path / "a.wav")
    wave(tmp_path / "b.flac", 0.4)
    files = (tmp_path / "a.wav", tmp_path / "b.flac")
    speechunits("encode", tokenizer, *files, "-o", tmp_path / "u.jsonl")
    speechunits("encode", tokenizer, *files, "--dedup", "-o", tmp_path / "d.jsonl")
    for lines, out in (("u", "one"), ("d", "two")):
        code, said, error = speechunits(
            "decode", vocoder, tmp_path / f"{lines}.jsonl", "-o", tmp_path / out, "--speaker", "bob"
        )
        assert (code, said, error) == (0, "", ""), error
        assert {p.name for p in (tmp_path / out).iterdir()} == {"a.wav", "b.wav"}
        for name, file in (("a", files[0]), ("b", files[1])):
            assert np.array_equal(
                heard(tmp_path / out / f"{name}.wav"), expected(vocoder, tokenizer, file, speaker="bob")
            )
    bare = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    for line in bare:
        del line["durations"], line["audio"]
        line["hop"] = None
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, bare)))
    code, _, error = speechunits("decode", vocoder, tmp_path / "e.jsonl", "-o", tmp_path / "three", "--speaker", "ada")
    assert code == 0 and {p.name for p in (tmp_path / "three").iterdir()} == {"line_1.wav", "line_2.wav"}, error
    assert len(heard(tmp_path / "three" / "line_1.wav")) % 160 == 0
    code, _, _ = speechunits(
        "decode", vocoder, tmp_path / "u.jsonl", "-o", tmp_path / "fast", "--speaker", "bob", "--speed", "2"
    )
    assert code == 0
    slow, fast = (len(heard(tmp_path / out / "a.wav")) for out in ("one", "fast"))
    assert abs(slow - 2 * fast) <= 320


def test_nothing_is_written_where_a_line_cannot_be_said(
    speechunits: Any, tokenizer: Path, vocoder: Path, plain: Path, tmp_path: Path
) -> None:
    wave(tmp_path / "a.wav")
    speechunits("encode", tokenizer, tmp_path / "a.wav", "-o", tmp_path / "u.jsonl")
    good = json.loads((tmp_path / "u.jsonl").read_text())
    name, out = good["fingerprint"], tmp_path / "out"
    for change, says in (
        ({"units": [0, 8]}, "line 2: unit 2 is 8, and the ids run from 0 to 7"),
        ({"units": [0, -1]}, "line 2: unit 2 is -1"),
        ({"units": []}, "line 2: has no units"),
        (
            {"fingerprint": "abc"},
            f"line 2: the vocoder was trained on units of the tokenizer {name}, and these are of abc",
        ),
        ({"hop": "1/50"}, "line 2: the vocoder has a frame every 1/100 s"),
        ({"units": "abc"}, "line 2: units, durations and vocab are to be lists of whole numbers"),
        ({"audio": "a.wav"}, "a.wav: two of the files have one name"),
    ):
        lines = [good, {**good, "audio": "b.wav", **change}]
        (tmp_path / "bad.jsonl").write_text("\n".join(map(json.dumps, lines)))
        code, said, error = speechunits("decode", vocoder, tmp_path / "bad.jsonl", "-o", out, "--speaker", "ada")
        assert code == 2 and said == "" and says in error and error.count("\n") == 1, error
        assert not out.exists()
    (tmp_path / "bare.jsonl").write_text(json.dumps({**good, "hop": None}))
    for arguments, says in (
        ((vocoder, tmp_path / "u.jsonl", "-o", out), "name the speaker that this vocoder is to have: ada, bob"),
        (
            (vocoder, tmp_path / "u.jsonl", "-o", out, "--speaker", "eve"),
            "no speaker 'eve'; the known ones are: ada, bob",
        ),
        ((plain, tmp_path / "u.jsonl", "-o", out, "--speaker", "ada"), "knows no speaker by name; leave it out"),
        ((plain, tmp_path / "u.jsonl", "-o", out, "--style", "sad"), "knows no style by name; leave it out"),
        ((plain, tmp_path / "u.jsonl", "-o", out, "--speaker-encoder", plain), "reads no vector of a voice"),
        ((plain, tmp_path / "u.jsonl", "-o", out, "--speed", "0"), "speed 0: give a number above 0"),
        ((plain, tmp_path / "bare.jsonl", "-o", out), "merged, and the vocoder has no durations"),
        ((plain, tmp_path / "none.jsonl", "-o", out), "none.jsonl: cannot be read (No such file"),
        ((tokenizer, tmp_path / "u.jsonl", "-o", out), "holds a UnitTokenizer, but a UnitVocoder is needed"),
        ((plain, tmp_path / "u.jsonl", "-o", tmp_path / "a.wav"), "cannot be written"),
    ):
        code, said, error = speechunits("decode", *arguments)
        assert code == 2 and said == "" and says in error and error.count("\n") == 1, error
        assert not out.exists()


def test_audio_is_said_again(speechunits: Any, tokenizer: Path, vocoder: Path, tmp_path: Path) -> None:
    """Good files are written, of any rate; silence, what is too short and what is no audio is listed."""
    wave(tmp_path / "a.wav", rate=22050)
    wave(tmp_path / "c.flac")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "short.wav", 0.1 * np.ones(100), 16000)
    (tmp_path / "empty.wav").touch()
    files = [tmp_path / name for name in ("a.wav", "silent.wav", "short.wav", "empty.wav", "c.flac")]
    how = ("--tokenizer", tokenizer, "-o", tmp_path / "out", "--speaker", "ada")
    code, said, error = speechunits("resynthesize", vocoder, *files, *how)
    assert code == 2 and said == "" and error.count("\n") == 1
    assert error.startswith("error: 3 of 5 files could not be resynthesized: "), error
    assert "silent.wav: silent throughout; leave it out" in error and "empty.wav: cannot be read as audio" in error
    assert "short.wav: too short for one frame; leave it out" in error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.wav", "c.wav"}
    for name in ("a.wav", "c.flac"):
        wanted = expected(vocoder, tokenizer, tmp_path / name, speaker="ada")
        assert np.array_equal(heard(tmp_path / "out" / f"{name[0]}.wav"), wanted)
    before = files[0].read_bytes()
    code, _, error = speechunits("resynthesize", vocoder, files[0], *how[:2], "-o", tmp_path, "--speaker", "ada")
    assert code == 2 and "a.wav: is one of the files that are read; choose another folder" in error
    assert files[0].read_bytes() == before
    code, _, error = speechunits("resynthesize", vocoder, files[0], "-o", tmp_path / "out", "--speaker", "ada")
    assert code == 2 and f"units of the tokenizer {store.read_meta(tokenizer)['fingerprint']}; give its folder" in error


def test_in_the_voice_of_a_recording(speechunits: Any, tokenizer: Path, streams: Any, tmp_path: Path) -> None:
    store.save(build({"_target_": "tests.tasks.voiced.Loudness"}), tmp_path / "encoder", kind="speaker_encoder")
    name = store.read_meta(tmp_path / "encoder")["fingerprint"]
    tree = {"_target_": "speechunits.inputs.voice_input.VoiceInput", "dim_in": 2, "dim": 3}
    of_voices = {**streams, "voice": Stream(None, (), name, (2,))}
    store.save(voiced(of_voices, conditions={"voice": tree}), tmp_path / "vocoder", kind="vocoder")
    store.save(
        voiced({**streams, "voice": Stream(None, (), "xyz", (2,))}, conditions={"voice": tree}), tmp_path / "other"
    )
    wave(tmp_path / "a.wav")
    soundfile.write(tmp_path / "voice.wav", 0.3 * np.random.default_rng(0).normal(size=8000).clip(-2, 2), 16000)
    reference = Loudness().embed(read_audio(tmp_path / "voice.wav"))
    how = ("--tokenizer", tokenizer, "--speaker", tmp_path / "voice.wav", "--speaker-encoder", tmp_path / "encoder")
    code, _, error = speechunits("resynthesize", tmp_path / "vocoder", tmp_path / "a.wav", "-o", tmp_path / "out", *how)
    assert code == 0, error
    wanted = expected(tmp_path / "vocoder", tokenizer, tmp_path / "a.wav", voice=reference)
    assert np.array_equal(heard(tmp_path / "out" / "a.wav"), wanted)
    speechunits("encode", tokenizer, tmp_path / "a.wav", "-o", tmp_path / "u.jsonl")
    code, _, error = speechunits(
        "decode", tmp_path / "vocoder", tmp_path / "u.jsonl", "-o", tmp_path / "again", *how[2:]
    )
    assert code == 0 and np.array_equal(heard(tmp_path / "again" / "a.wav"), wanted), error
    for folder, arguments, says in (
        ("vocoder", how[:4], "speaks in any voice; give a recording of one as --speaker, and --speaker-encoder"),
        ("vocoder", (*how[:4], "--speaker-encoder", tokenizer), "holds a UnitTokenizer, which hears no voices"),
        ("other", how, f"trained with the voices of xyz, and this speaker encoder is {name}; give that one"),
    ):
        code, _, error = speechunits(
            "resynthesize", tmp_path / folder, tmp_path / "a.wav", "-o", tmp_path / "no", *arguments
        )
        assert code == 2 and says in error and not (tmp_path / "no").exists(), error


def test_stored_features_are_made_anew(speechunits: Any, tmp_path: Path) -> None:
    """A vocoder of features, and one of units that also reads features in time with them."""
    mel = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 10, "hop": "1/50"}
    name = store.save(build({"_target_": "speechunits.units.features.Features", "source": mel}), tmp_path / "features")
    of_features = {"features": Stream(Fraction(1, 50), (), name, (10,))}
    tree = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}
    store.save(voiced(of_features, input=tree), tmp_path / "vocoder", kind="vocoder")
    wave(tmp_path / "a.wav")
    how = (tmp_path / "vocoder", tmp_path / "a.wav", "-o", tmp_path / "out", "--features", tmp_path / "features")
    code, _, error = speechunits("resynthesize", *how)
    assert code == 0, error
    vectors = store.restore(tmp_path / "features")(read_audio(tmp_path / "a.wav"))
    said = store.restore(tmp_path / "vocoder")({"features": vectors}).data[0]
    assert np.array_equal(heard(tmp_path / "out" / "a.wav"), np.round(said.detach().double().numpy() * 32767))
    code, _, error = speechunits("resynthesize", *how[:4])
    assert code == 2 and f"the model reads the features {name}; give the folder features/" in error
