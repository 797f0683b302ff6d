"""The command line: audio of any kind to units, and one sentence about what is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from recipes.fit_units import fit_units
from speechunits import __version__, cli, recipe, store
from speechunits.config import build
from speechunits.seq import Seq
from speechunits.units.tokenizer import UnitTokenizer
from tests.exchange.test_fairseq_checkpoint import about, head, named_by_fairseq
from tests.exchange.test_inert_pickle import Runs
from tests.exchange.toy import folder, model
from tests.recipes.toy import fit_arguments, write_corpus

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    recipe.run(fit_units, fit_arguments(write_corpus(folder / "corpus"), folder / "fit"))
    return folder / "fit" / "tokenizer"


@pytest.fixture
def speechunits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``speechunits(*arguments)`` -> (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["speechunits", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def wave(path: Path, seconds: float = 0.6, rate: int = 16000, channels: int = 1) -> np.ndarray:
    """Tones in the middle of the band with gaps; the same sound at any rate."""
    t = np.arange(round(seconds * rate)) / rate
    x = 0.2 * np.sin(2 * np.pi * 600 * t) * (np.sin(2 * np.pi * 3 * t) > 0) + 0.1 * np.sin(2 * np.pi * 1500 * t)
    soundfile.write(path, np.stack([x] * channels, 1) if channels > 1 else x, rate)
    return x


def codes(folder: Path, path: Path) -> list[int]:
    """Straight from the samples on disk."""
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    x = torch.from_numpy(samples)[None]
    return UnitTokenizer.load(folder).codes(Seq(x, torch.tensor([x.size(1)]), Fraction(1, rate))).data[0, :, 0].tolist()


def test_one_line_for_each_file(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    wave(tmp_path / "a.wav")
    wave(tmp_path / "b.flac", 0.33)
    code, out, err = speechunits("encode", tokenizer, tmp_path / "a.wav", tmp_path / "b.flac")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "") and [line["audio"] for line in lines] == [
        str(tmp_path / "a.wav"), str(tmp_path / "b.flac"),
    ]  # fmt: skip
    meta = store.read_meta(tokenizer)
    for line, name in zip(lines, ("a.wav", "b.flac"), strict=True):
        assert line["units"] == codes(tokenizer, tmp_path / name) and len(set(line["units"])) > 1
        assert (line["hop"], line["vocab"], line["fingerprint"]) == ("1/100", [8], meta["fingerprint"])
        assert "durations" not in line


def test_into_a_file_with_durations(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    wave(tmp_path / "a.wav")
    code, out, _ = speechunits("encode", tokenizer, tmp_path / "a.wav", "--dedup", "-o", tmp_path / "deep" / "u.jsonl")
    assert code == 0 and not out
    line = json.loads((tmp_path / "deep" / "u.jsonl").read_text())
    whole = codes(tokenizer, tmp_path / "a.wav")
    assert np.repeat(line["units"], line["durations"]).tolist() == whole
    assert len(line["units"]) < len(whole) and line["hop"] == "1/100"


def test_other_rates_and_channels(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    wave(tmp_path / "mono.wav")
    wave(tmp_path / "stereo.wav", channels=2)
    wave(tmp_path / "slow.wav", rate=8000)
    wave(tmp_path / "cd.wav", rate=44100)
    code, out, _ = speechunits("encode", tokenizer, *(tmp_path / f"{n}.wav" for n in ("mono", "stereo", "slow", "cd")))
    mono, stereo, slow, cd = (json.loads(line)["units"] for line in out.splitlines())
    assert code == 0 and stereo == mono
    # the band above 4 kHz is empty in one of them, so not all codes are the same; the sound is as long, though
    assert abs(len(slow) - len(mono)) <= 1 and abs(len(cd) - len(mono)) <= 1 and len(set(slow)) > 1


def test_bad_files_are_named_and_the_others_encoded(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    wave(tmp_path / "good.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is no audio\n" * 20)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    wave(tmp_path / "short.wav", 0.01)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan] * 8000), 16000, subtype="FLOAT")
    (tmp_path / "cut.flac").write_bytes(b"fLaC" + bytes(30))
    bad = ["missing.wav", "empty.wav", "text.wav", "none.wav", "short.wav", "nan.wav", "cut.flac"]
    good = [tmp_path / "good.wav"] * 2
    code, out, err = speechunits("encode", tokenizer, good[0], *(tmp_path / n for n in bad), good[1])
    assert code == 2 and len(out.splitlines()) == 2
    assert err.startswith("error: 7 of 9 files could not be encoded: ") and err.count("\n") == 1
    for name in bad:
        assert err.count(f"{tmp_path / name}: ") == 1, (name, err)
    assert "missing.wav: cannot be read as audio (there is no such file)" in err and "(the file is empty)" in err
    assert "short.wav: too short for one unit" in err and "NaN" in err and "Traceback" not in err
    # the same into a file: the good ones are there
    code, _, _ = speechunits("encode", tokenizer, *good, tmp_path / "text.wav", "-o", tmp_path / "u.jsonl")
    assert code == 2 and len((tmp_path / "u.jsonl").read_text().splitlines()) == 2


def test_nothing_good_writes_no_file(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    code, out, err = speechunits("encode", tokenizer, tmp_path / "missing.wav", "-o", tmp_path / "u.jsonl")
    assert code == 2 and not out and "missing.wav" in err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["encode", "info"])
def test_folders_that_are_no_artefacts(speechunits: Any, tmp_path: Path, command: str) -> None:
    more = [tmp_path / "a.wav"] if command == "encode" else []
    code, _, err = speechunits(command, tmp_path / "nowhere", *more)
    assert (
        code == 2 and err.startswith(f"error: {tmp_path / 'nowhere'}: not an artefact folder") and err.count("\n") == 1
    )


def test_an_encoder_is_no_tokenizer(speechunits: Any, tmp_path: Path) -> None:
    store.save(build({"_target_": "speechunits.frontends.conv.ConvFrontend", "channels": 4}), tmp_path / "net")
    code, _, err = speechunits("encode", tmp_path / "net", tmp_path / "a.wav")
    assert code == 2 and "holds a ConvFrontend, but a UnitTokenizer is needed here" in err


@pytest.mark.parametrize("name", ["weights.safetensors", "config.yaml", "meta.json"])
def test_a_damaged_tokenizer(speechunits: Any, tokenizer: Path, tmp_path: Path, name: str) -> None:
    for path in tokenizer.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    raw = bytearray((tmp_path / name).read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    (tmp_path / name).write_bytes(raw)
    wave(tmp_path / "a.wav")
    code, out, err = speechunits("encode", tmp_path, tmp_path / "a.wav")
    assert code == 2 and not out and name in err and err.count("\n") == 1, err


def test_a_device_that_is_not_there(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    code, _, err = speechunits("encode", tokenizer, tmp_path / "a.wav", "--device", "abacus")
    assert code == 2 and err.startswith("error: device=abacus: not on this machine")


def test_info(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    code, out, _ = speechunits("info", tokenizer)
    meta = store.read_meta(tokenizer)
    assert code == 0 and out.startswith(f"{tokenizer}: tokenizer {meta['fingerprint']}\n")
    for says in ("hop: 1/100", "vocab: [8]", "speechunits.frontends.mfcc.MFCC", "size: 8"):
        assert says in out
    (tmp_path / "meta.json").write_text((tokenizer / "meta.json").read_text())
    code, _, err = speechunits("info", tmp_path)
    assert code == 2 and "config.yaml" in err


def test_version_and_unknown_commands(speechunits: Any) -> None:
    assert speechunits("--version")[:2] == (0, f"{__version__}\n")
    code, _, err = speechunits("encoed")
    assert code == 2 and "encoed" in err
    assert speechunits()[0] == 2


def test_unknown_recipes_are_named(speechunits: Any) -> None:
    code, _, err = speechunits("run", "trian", "out=X")
    assert code == 2 and "there is no recipe 'trian'; there are: " in err
    for name in ("train", "fit_units", "extract_units", "evaluate", "make_demo_corpus"):
        assert name in err


def test_run_is_the_recipe(speechunits: Any, tokenizer: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    code, out, _ = speechunits("run", "fit_units", *fit_arguments(corpus, tmp_path / "fit"))
    assert code == 0 and "stage=lloyd" in out
    assert store.read_meta(tmp_path / "fit" / "tokenizer")["fingerprint"] == store.read_meta(tokenizer)["fingerprint"]
    code, _, err = speechunits("run", "fit_units", *fit_arguments(corpus, tmp_path / "fit2"), "fittr.size=3")
    assert code == 2 and "fittr: fit_units has no 'fittr'; did you mean 'fitter'?" in err


@pytest.mark.slow
def test_as_a_process(tokenizer: Path, tmp_path: Path) -> None:
    """From another folder, with a pipe on stdout."""
    wave(tmp_path / "a.wav")
    command = [sys.executable, "-m", "speechunits.cli", "encode", str(tokenizer), "a.wav", "missing.wav"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 2 and json.loads(done.stdout)["units"] == codes(tokenizer, tmp_path / "a.wav")
    assert done.stderr.startswith("error: 1 of 2 files could not be encoded: missing.wav: "), done.stderr
    assert done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------ import and export


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``hubert/`` of transformers, and ``km.npy`` and ``km.bin`` (scikit-learn) of its size."""
    import joblib
    from sklearn.cluster import KMeans

    place = tmp_path_factory.mktemp("foreign")
    folder(model("hubert"), place / "hubert")
    np.save(place / "km.npy", np.random.default_rng(0).standard_normal((5, 24)))
    x = np.random.default_rng(0).standard_normal((40, 24)).astype(np.float32)
    joblib.dump(KMeans(5, n_init=1, random_state=0).fit(x), place / "km.bin")
    return place


def test_import_encode_and_export(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    code, out, err = speechunits("import", foreign / "hubert", tmp_path / "enc")
    name = store.read_meta(tmp_path / "enc")["fingerprint"]
    assert (code, err) == (0, "") and out == f"{tmp_path / 'enc'}: encoder {name} of transformers hubert\n"
    assert "imported_from: transformers hubert" in speechunits("info", tmp_path / "enc")[1]

    code, out, err = speechunits(
        "import", foreign / "km.npy", tmp_path / "tok", "--encoder", tmp_path / "enc", "--layer", 2
    )
    assert (code, err) == (0, "") and out.startswith(f"{tmp_path / 'tok'}: tokenizer ")
    assert store.read_meta(tmp_path / "tok")["derived_from"] == [name]
    wave(tmp_path / "a.wav")
    code, out, _ = speechunits("encode", tmp_path / "tok", tmp_path / "a.wav")
    line = json.loads(out)
    assert code == 0 and line["units"] == codes(tmp_path / "tok", tmp_path / "a.wav") and line["hop"] == "1/50"

    code, out, err = speechunits("export", tmp_path / "enc", tmp_path / "hf")
    assert (code, err) == (0, "") and out == f"{tmp_path / 'hf'}: hubert model of transformers\n"
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= {
        p.name for p in (tmp_path / "hf").iterdir()
    }
    code, _, _ = speechunits("import", tmp_path / "hf", tmp_path / "enc2")
    assert code == 0 and store.read_meta(tmp_path / "enc2")["fingerprint"] == name


def test_import_of_codebooks_and_heads(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    code, out, _ = speechunits("import", foreign / "km.npy", tmp_path / "km")
    assert (
        code == 0 and out.startswith(f"{tmp_path / 'km'}: quantizer ") and store.restore(tmp_path / "km").vocab == (5,)
    )
    code, _, err = speechunits("import", foreign / "km.bin", tmp_path / "sk")
    assert code == 2 and "give --trust-pickle" in err and err.count("\n") == 1
    assert speechunits("import", foreign / "km.bin", tmp_path / "sk", "--trust-pickle")[0] == 0
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": weights, "n": Namespace()}, tmp_path / "h.pt")
    code, out, _ = speechunits("import", tmp_path / "h.pt", tmp_path / "enc", "--head", tmp_path / "head")
    assert code == 0 and len(out.splitlines()) == 2
    assert torch.equal(store.restore(tmp_path / "head").codes[0], weights["label_embs_concat"][4:])


def test_import_asks_for_what_nothing_tells(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    place = tmp_path / "bare"
    model("hubert").save_pretrained(place)
    code, _, err = speechunits("import", place, tmp_path / "enc")
    assert code == 2 and "give --normalize-audio" in err
    assert speechunits("import", place, tmp_path / "enc", "--no-normalize-audio")[0] == 0
    code, _, err = speechunits("import", place, tmp_path / "enc2", "--normalize-audio", "--heads", 8)
    assert code == 2 and "says itself that heads is 4, not 8" in err


@pytest.mark.parametrize(
    "case", ["layer", "size", "only-layer", "taken", "name", "truncated", "reducer", "half", "no-head", "whisper"]
)
def test_bad_imports_say_one_sentence_and_leave_nothing(
    speechunits: Any, foreign: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    bad, out = tmp_path / "bad", tmp_path / "out"
    weights = named_by_fairseq(model("hubert"), "group")
    cfg = {"model": about(), "task": {"normalize": False}}
    arguments: tuple[object, ...] = (bad, out)
    if case in ("layer", "size", "only-layer"):
        np.save(tmp_path / "bad.npy", np.ones((5, 39 if case == "size" else 24)))
        which = (
            *(() if case == "only-layer" else ("--encoder", foreign / "hubert")),
            "--layer",
            7 if case == "layer" else 2,
        )
        arguments = (tmp_path / "bad.npy", out, *which)
    elif case == "taken":
        out.mkdir()
        (out / "precious").write_text("x")
        arguments = (foreign / "hubert", out)
    elif case == "name":
        arguments = ("facebook/hubert-base-ls960", out)
    elif case == "truncated":
        torch.save({"cfg": cfg, "model": weights, "args": Namespace()}, bad)
        bad.write_bytes(bad.read_bytes()[:-500])
    elif case == "reducer":
        torch.save({"cfg": cfg, "model": Runs(os.mkdir, str(tmp_path / "trap"))}, bad)
    elif case == "half":
        bad.mkdir()
        (bad / "config.json").write_text((foreign / "hubert" / "config.json").read_text())
    elif case == "no-head":
        arguments = (foreign / "hubert", out, "--head", tmp_path / "head")
    elif case == "whisper":
        bad.mkdir()
        (bad / "config.json").write_text('{"model_type": "whisper"}')
    before = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    code, said, err = speechunits("import", *arguments)
    assert (code, said) == (2, "") and err.startswith("error: ") and err.count("\n") == 1, err
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == before


def test_bad_exports(speechunits: Any, tokenizer: Path, foreign: Path, tmp_path: Path) -> None:
    code, _, err = speechunits("export", tokenizer, tmp_path / "hf")
    assert code == 2 and "holds a UnitTokenizer, but a SpeechEncoder is needed here" in err
    code, _, err = speechunits("export", foreign / "hubert", tmp_path / "hf")
    assert code == 2 and "not an artefact folder" in err
    assert speechunits("import", foreign / "hubert", tmp_path / "enc")[0] == 0
    code, _, err = speechunits("export", tmp_path / "enc", foreign / "hubert")
    assert code == 2 and "exists already; choose another place" in err
    assert [p.name for p in tmp_path.iterdir()] == ["enc"]
