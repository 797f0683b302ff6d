"""Audio files to text on the command line, from a filterbank and from units, and one sentence about what does not fit."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from recipes.fit_ngram import fit_ngram
from speechunits import recipe, store
from speechunits.config import build, load
from speechunits.data.read_audio import read_audio
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.units.dedup import Dedup
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.units.unit_bpe import UnitBPE, fit_subwords
from tests.cli.sounds import codes, wave
from tests.tasks.hears import FILTERBANK, UNITS, hears


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heard")
    store.save(hears(FILTERBANK), folder / "asr", kind="asr")
    return folder / "asr"


@pytest.fixture(scope="module")
def of_units(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of merged and joined units, and the subwords."""
    folder = tmp_path_factory.mktemp("of_units")
    merged: Stream = Dedup().over(UnitTokenizer.load(tokenizer).stream)
    torch.manual_seed(0)
    rows = [torch.randint(merged.vocab[0], (60,)) for _ in range(40)]
    subwords: UnitBPE = fit_subwords(rows, merged.vocab[0] + 20, stream=merged)
    store.save(subwords, folder / "subwords", kind="subwords")
    model = hears(UNITS, {"units": subwords.over(merged)})
    store.save(model, folder / "asr", kind="asr")
    return folder / "asr", folder / "subwords"


def test_text_goes_to_the_terminal_and_subtitles_into_a_folder(speechunits: Any, heard: Path, tmp_path: Path):
    files = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for path in files:
        wave(path, 3.0, 22050 if path.suffix == ".flac" else 16000)
    code, text, _ = speechunits("transcribe", heard, *files)
    assert code == 0 and len(text.splitlines()) == 2 and all(line.startswith("w") for line in text.splitlines())
    code, said, _ = speechunits("transcribe", heard, *files, "--format", "srt", "-o", tmp_path / "out")
    assert code == 0 and said == ""
    first = (tmp_path / "out" / "a.srt").read_text()
    assert first.startswith("1\n00:00:0") and {p.name for p in (tmp_path / "out").iterdir()} == {"a.srt", "b.srt"}


def test_each_json_line_names_its_file_and_a_place_is_looked_at_before_anything_is_heard(
    speechunits: Any, heard: Path, tmp_path: Path
):
    files = [tmp_path / "a.wav", tmp_path / "gone.wav", tmp_path / "c.wav"]
    for path in files[::2]:
        wave(path, 1.0)
    code, text, _ = speechunits("transcribe", heard, *files, "--format", "json")
    assert code == 2 and [json.loads(line)["audio"] for line in text.splitlines()] == [str(p) for p in files[::2]]
    code, _, error = speechunits("transcribe", tmp_path / "no-model", files[0], "-o", files[2])
    assert code == 2 and "c.wav/a.txt: cannot be written (Not a directory); choose another place" in error


def test_units_are_made_and_joined_as_in_training(
    speechunits: Any, tokenizer: Path, of_units: tuple[Path, Path], tmp_path: Path
):
    model, subwords = of_units
    wave(tmp_path / "a.wav", 3.0)
    how = ("--tokenizer", tokenizer, "--subwords", subwords, "--format", "json")
    code, text, _ = speechunits("transcribe", model, tmp_path / "a.wav", *how)
    found = json.loads(text)
    assert code == 0 and found["words"] and 0 <= found["words"][0]["start"] < found["words"][-1]["end"] <= 3.0
    units = torch.tensor(codes(tokenizer, tmp_path / "a.wav"))
    merged = torch.unique_consecutive(units)
    bpe: UnitBPE = store.restore(subwords)
    batch = {"units": pad([bpe.encode(merged)], None)}
    assert found["text"] == store.restore(model).predict(batch)["text"][0]


def test_another_search_with_its_language_model(speechunits: Any, heard: Path, tmp_path: Path):
    """That of a file in place of the saved one, whichever of the two has the language model; and a file without one."""
    grams = "\\1-grams:\n-99 <s>\n-1.5 <unk>\n-1.5 </s>\n"
    (tmp_path / "lm.arpa").write_text(f"\\data\\\nngram 1=3\n\n{grams}\n\\end\\\n")
    store.save(store.restore(heard).text, tmp_path / "text", kind="text")
    recipe.run(fit_ngram, [f"out={tmp_path / 'lm'}", f"arpa={tmp_path / 'lm.arpa'}", f"tokenizer={tmp_path / 'text'}"])
    beam = tmp_path / "beam.yaml"
    lm = f"model: {{search: {{fusion: {{lm: {{folder: {tmp_path / 'lm' / 'ngram'}}}, weight: 20}}}}}}\n"
    beam.write_text(f"include: [search/ctc_beam.yaml, search/ngram.yaml]\n{lm}")
    wave(tmp_path / "a.wav", 3.0)
    code, greedy, _ = speechunits("transcribe", heard, tmp_path / "a.wav")
    code, text, error = speechunits("transcribe", heard, tmp_path / "a.wav", "--search", beam)
    assert code == 0 and text and len(text.split()) < len(greedy.split()), error
    store.save(hears(FILTERBANK, search=load(beam)["model"]["search"]), tmp_path / "with", kind="asr")
    for search, says in ((beam, text), ("conf/search/ctc_beam.yaml", None), ("conf/search/greedy.yaml", None)):
        code, again, error = speechunits("transcribe", tmp_path / "with", tmp_path / "a.wav", "--search", search)
        assert code == 0 and (again == text) == (says is not None), error
    code, _, error = speechunits("transcribe", heard, tmp_path / "a.wav", "--search", "conf/text/bpe.yaml")
    assert code == 2 and "conf/text/bpe.yaml: has no model.search; give a file such as" in error


@pytest.mark.parametrize("infused", [False, True])
def test_features_are_made_as_those_that_were_stored(speechunits: Any, infused: bool, tmp_path: Path):
    vectors = {"_target_": "speechunits.units.features.Features", "source": FILTERBANK["frontend"]}
    name = store.save(build(vectors), tmp_path / "features", kind="features")
    heard = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}
    added = {"_target_": "speechunits.inputs.framewise_addition.FramewiseAddition"}
    both = {"_target_": "speechunits.inputs.infused_input.InfusedInput", "input": FILTERBANK, "infusion": added}
    model = hears({**both, "features": heard} if infused else heard, {"features": Stream("1/25", (), name, (80,))})  # type: ignore[arg-type]
    store.save(model, tmp_path / "asr", kind="asr")
    wave(tmp_path / "a.wav", 3.0)
    code, text, error = speechunits(
        "transcribe", tmp_path / "asr", tmp_path / "a.wav", "--features", tmp_path / "features"
    )
    assert code == 0, error
    audio = read_audio(tmp_path / "a.wav")
    batch = {"audio": audio, "features": store.restore(tmp_path / "features")(audio)}
    assert text.strip() == model.predict(batch)["text"][0] != ""
    code, _, error = speechunits("transcribe", tmp_path / "asr", tmp_path / "a.wav")
    assert code == 2 and f"the model reads the features {name}; give the folder features/" in error
    other = store.save(build({**vectors, "every": 2}), tmp_path / "other", kind="features")
    code, _, error = speechunits("transcribe", tmp_path / "asr", tmp_path / "a.wav", "--features", tmp_path / "other")
    assert code == 2 and f"reads features of {name}, and the features that were given are {other}" in error


def test_what_does_not_fit_is_said(
    speechunits: Any, tokenizer: Path, heard: Path, of_units: tuple[Path, Path], tmp_path: Path
):
    model, subwords = of_units
    wave(tmp_path / "a.wav", 1.0)
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    stacked = tmp_path / "stacked"
    store.save(hears(UNITS, {"units": Stream(None, (6, 6), "abc&def+dedup")}), stacked, kind="asr")
    for arguments, says in (
        ((model,), f"reads units of the tokenizer {store.read_meta(tokenizer)['fingerprint']}; give its folder"),
        ((model, "--tokenizer", tokenizer), f"subwords {store.read_meta(subwords)['fingerprint']} were not given"),
        ((model, "--tokenizer", tokenizer, "--subwords", heard), "the subwords hold a ASR, which joins no units"),
        ((model, "--tokenizer", tokenizer, *2 * ("--subwords", subwords)), "were fitted on"),
        ((stacked, "--tokenizer", tokenizer), "units of several tokenizers at once (abc&def); use recognise"),
        ((model, "--tokenizer", subwords), "holds a UnitBPE, but a UnitTokenizer is needed"),
        ((heard, "--tokenizer", tokenizer), "the model hears audio and reads no units"),
        ((tokenizer,), "holds a UnitTokenizer, which writes no text"),
        ((heard, "--overlap", "30"), "windows of 30 s that overlap by 30 s do not get ahead"),
        ((heard, tmp_path / "empty.wav"), "1 of 2 files could not be transcribed: "),
        ((heard, tmp_path / "short.wav"), "short.wav: too short for one frame; leave it out"),
    ):
        code, _, error = speechunits("transcribe", *arguments, tmp_path / "a.wav")
        assert code == 2 and says in error and len(error.splitlines()) == 1, error


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``pipe(data)``: bytes on standard input."""

    def fill(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))  # type: ignore[arg-type]

    return fill


def test_a_pipe_says_what_the_file_says(speechunits: Any, heard: Path, pipe: Any, tmp_path: Path) -> None:
    samples = np.round(32767 * wave(tmp_path / "a.wav", 5.0)).astype("<i2")
    soundfile.write(tmp_path / "a.wav", samples, 16000)
    code, text, _ = speechunits("transcribe", heard, tmp_path / "a.wav")
    assert code == 0 and len(text.split()) > 5
    pipe(samples.tobytes())
    assert speechunits("transcribe", heard, "-", "--live", "--rate", "16000")[:2] == (0, text)
    store.save(store.restore(heard, changes={"encoder": {"chunk": None}}), tmp_path / "whole", kind="asr")
    code, _, error = speechunits("transcribe", tmp_path / "whole", "-", "--live")
    assert code == 2 and "model.encoder.chunk is null" in error
    pipe(samples.tobytes())
    code, again, _ = speechunits("transcribe", tmp_path / "whole", "-", "--live", "--chunk", "10", "--left", "10")
    assert (code, again) == (0, text)


def test_what_cannot_be_heard_live_is_said(
    speechunits: Any, heard: Path, of_units: tuple[Path, Path], pipe: Any, tmp_path: Path
) -> None:
    wave(tmp_path / "a.wav", 1.0)
    tree = {**FILTERBANK, "frontend": {**FILTERBANK["frontend"], "normalize": "utterance"}}  # type: ignore[dict-item]
    store.save(hears(tree), tmp_path / "whole", kind="asr")
    for data, arguments, says in (
        (b"", (heard, "-", "--live"), "the input has no sample"),
        (b"\0" * 9, (heard, "-", "--live"), "the input ends in the middle of a sample"),
        (b"", (heard, "-", "--live", "--rate", "8000"), "--rate 8000: the model hears 16000 Hz"),
        (b"", (heard, tmp_path / "a.wav", "--live"), "--live hears standard input"),
        (b"", (of_units[0], "-", "--live"), "live recognition hears audio, and this model has a UnitInput"),
        (b"", (tmp_path / "whole", "-", "--live"), "this LogMel looks at the whole utterance"),
    ):
        pipe(data)
        code, _, error = speechunits("transcribe", *arguments)
        assert code == 2 and says in error and len(error.splitlines()) == 1, error


def test_audio_of_zero_length_is_said(speechunits: Any, heard: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    code, text, error = speechunits("transcribe", heard, tmp_path / "none.wav")
    assert (
        code == 2
        and text == ""
        and "none.wav: cannot be read as audio (no samples)" in error
        and len(error.splitlines()) == 1
    )
