"""egs/*/asr: what each prepares, every stage on a few seconds of speech, and what a mistake looks like."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from speechunits import store
from speechunits.config import build, load
from speechunits.data.cuts import open_cuts
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.report.results import read_results, write_results
from speechunits.signature import mistakes
from tests.egs.scripts import ROOT, script

HERE = "egs/librispeech/asr"
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    tree = load("system/hubert_base.yaml", "size/demo.yaml", "model.encoder.encoder.depth=2")["model"]["encoder"]
    tree["encoder"] |= {"dim": 32, "ffn": 64, "heads": 2}
    store.save(build(tree), tmp_path / "encoder", kind="encoder")
    return tmp_path / "encoder"


def stages(said: str) -> list[str]:
    return [
        line.split(":")[0].split()[-1] for line in said.splitlines() if line.startswith("== ") and ", stage " in line
    ]


def manifest(path: Path, **texts: str) -> Path:
    """Cuts of two seconds of noise by their ids."""
    cuts = []
    for i, (name, text) in enumerate(texts.items()):
        sound = np.random.default_rng(i).normal(0, 0.1, 32000).clip(-1, 1)
        soundfile.write(path.parent / f"{name}.wav", sound, 16000)
        recording = Recording.from_file(path.parent / f"{name}.wav")
        said = SupervisionSegment(name, recording.id, 0.0, 2.0, text=text, speaker=name)
        cuts.append(MonoCut(name, 0.0, 2.0, 0, recording=recording, supervisions=[said]))
    CutSet.from_cuts(cuts).to_file(path)
    return path


def test_speeds_are_cuts_of_their_own(tmp_path: Path) -> None:
    path = manifest(tmp_path / "cuts.jsonl.gz", a="ONE", b="TWO")
    assert script(f"{HERE}/local/speeds.py").add_speeds(path, [0.9, 1.1]) == 6
    cuts = {cut.id: cut for cut in open_cuts(path)}
    assert {name for name in cuts} == {f"{name}{speed}" for name in "ab" for speed in ("", "_sp0.9", "_sp1.1")}
    assert cuts["a_sp0.9"].duration == pytest.approx(2 / 0.9, abs=1e-3)
    assert cuts["b_sp1.1"].supervisions[0].text == "TWO"
    assert cuts["a_sp1.1"].load_audio().shape == (1, cuts["a_sp1.1"].num_samples)
    with pytest.raises(UserError, match="give speeds above 0 other than 1"):
        script(f"{HERE}/local/speeds.py").add_speeds(path, [1.0])


@pytest.mark.slow
def test_librispeech_from_first_to_last_stage(shell: Shell, corpora: Path, encoder: Path, tmp_path: Path) -> None:
    """Seven transcribed utterances: units and features in one table, with a word graph made of the transcripts."""
    pytest.importorskip("kaldi_decoder", reason="pip install 'speechunits[lattice]'")
    exp, corpus = tmp_path / "exp", corpora / "librispeech_transcribed"
    given = ["--corpus-dir", corpus, "--encoder", encoder, "--toy", "--exp", exp]
    both = ["--input", "units_bpe", "--input", "cached_features", "--lm", "words", "trainer.max_steps=2"]
    said = shell(f"{HERE}/run.sh", *given, *both)
    assert stages(said.stdout) == list("01234567")
    rows = read_results(exp / "results.json")["rows"]
    found = {(r["system"], r["split"]) for r in rows if r["metric"] == "wer"}
    assert found == {(s, p) for s in ("units_bpe", "cached_features") for p in ("train", "test")}
    assert {r["system"] for r in rows if r["metric"] == "bits_per_second"} == {"units_bpe"}
    name = store.read_meta(exp / "units_bpe" / "asr")["derived_from"]
    assert any(store.read_meta(exp / "km" / "tokenizer")["fingerprint"] in each for each in name)
    cuts = [set(open_cuts(exp / "data" / f"cuts_{split}.jsonl.gz").ids) for split in ("train", "test")]
    assert cuts[0] and cuts[1] and not cuts[0] & cuts[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--input units_bpe needs --tokenizer DIR"),
        (["--input", "features"], "--input features needs --encoder DIR"),
        (["--input", "mfcc"], "--input takes units_bpe, units, fbank, features or cached_features"),
        (["--input", "fbank"], "--corpus-dir DIR is needed"),
        (["--lm", "transformer"], "--lm takes ngram or words"),
        (["--arpa", "none.arpa"], "--arpa takes an ARPA file"),
        (["--labels", "10h"], "--labels takes 100h or 960h"),
        (["--layer", "last"], "--layer takes a number from 0"),
        (["--stage", "9"], "--stage takes a stage from 0 to 7"),
    ],
)
def test_mistakes_on_the_command_line(shell: Shell, arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in shell(f"{HERE}/run.sh", "--exp", tmp_path / "exp", *arguments, code=2).stderr


# ------------------------------------------------------------------------------------------------ egs/fsdd/asr


def test_a_fold_tests_two_speakers_and_validates_on_a_third(tmp_path: Path) -> None:
    six = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    cuts = list(open_cuts(manifest(tmp_path / "digits.jsonl.gz", **dict.fromkeys(six, "7"))))
    split = script("egs/fsdd/asr/local/folds.py").split
    found = {name: [cut.id for cut in part] for name, part in split(cuts, ["jackson", "yweweler"]).items()}
    assert found == {"train": ["lucas", "nicolas", "theo"], "valid": ["george"], "test": ["jackson", "yweweler"]}
    with pytest.raises(UserError, match="give the whole data set"):
        split(cuts[:3], ["george", "theo"])


def test_digit_accuracy_is_the_mean_over_folds_for_each_seed(tmp_path: Path) -> None:
    made, about = [], {"git": "x", "command": "x", "platform": "x", "cpus": "2", "gpus": "none"}
    for fold, seed, wer in ((0, 0, 10.0), (1, 0, 30.0), (0, 1, 20.0), (1, 1, 20.0)):
        path = tmp_path / f"{fold}-{seed}.json"
        rows = [{"system": "units", "split": s, "metric": "wer", "value": wer} for s in ("valid", "test")]
        write_results(path, rows, about)
        made.append(f"{fold}:{seed}:{path}")
    accuracy = script("egs/fsdd/asr/local/accuracy.py")
    each = accuracy.of_folds(made)
    assert {row["split"] for row in each} == {"fold", "fold-valid"} and len(each) == 8
    found = {row["seed"]: row["value"] for row in accuracy.over_folds(each) if row["split"] == "test"}
    assert found == {0: pytest.approx(0.8), 1: pytest.approx(0.8)}
    with pytest.raises(UserError, match="is not FOLD:SEED"):
        accuracy.of_folds(["results.json"])


@pytest.mark.slow
def test_digits_from_first_to_last_stage(shell: Shell, tmp_path: Path) -> None:
    recordings = tmp_path / "digits" / "recordings"
    recordings.mkdir(parents=True)
    for speaker in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"):
        for digit in range(10):
            sound = 0.1 * np.sin(np.arange(3200) * (300 + 250 * digit) / 8000 * 2 * np.pi)
            soundfile.write(recordings / f"{digit}_{speaker}_0.wav", sound, 8000)
    exp = tmp_path / "exp"
    said = shell("egs/fsdd/asr/run.sh", "--corpus-dir", tmp_path / "digits", "--toy", "--exp", exp)
    assert stages(said.stdout) == list("0123")
    rows = read_results(exp / "results.json")["rows"]
    assert {(r["system"], r["split"]) for r in rows} == {
        (s, p) for s in ("units", "fbank") for p in ("test", "valid", "fold", "fold-valid")
    }


# ------------------------------------------------------------------------------------------------ egs/mls/asr


def mls(folder: Path) -> Path:
    """Two languages as they are unpacked, an utterance in each split."""
    for speaker, name, text in ((10, "polish", "Zażółć gęślą jaźń!"), (11, "french", "L'eau, la mer")):
        root = folder / f"mls_{name}"
        root.mkdir(parents=True)
        (root / "metainfo.txt").write_text(f"SPEAKER | GENDER\n{speaker} | M\n")
        for i, split in enumerate(("train", "dev", "test")):
            audio = root / split / "audio" / str(speaker) / "20"
            audio.mkdir(parents=True)
            soundfile.write(audio / f"{speaker}_20_00000{i}.flac", np.full(16000, 0.01), 16000)
            (root / split / "transcripts.txt").write_text(f"{speaker}_20_00000{i}\t{text}\n", encoding="utf-8")
    return folder


def test_languages_are_spelled_by_their_rules_and_named(tmp_path: Path) -> None:
    prepare = script("egs/mls/asr/local/prepare.py").prepare
    prepare(mls(tmp_path / "mls"), tmp_path / "out", ["pl", "fr"], False)
    texts = {
        split: [cut.supervisions[0].text for cut in open_cuts(tmp_path / "out" / f"cuts_{split}.jsonl.gz")]
        for split in ("train_pl", "train_fr", "valid", "test")
    }
    assert texts["train_pl"] == ["[pl] zażółć gęślą jaźń"] and texts["train_fr"] == ["[fr] l eau la mer"]
    assert sorted(texts["valid"]) == sorted(texts["test"]) == sorted(texts["train_pl"] + texts["train_fr"])
    with pytest.raises(UserError, match="no mls_<language>/ for de"):
        prepare(tmp_path / "mls", tmp_path / "none", ["de", "pl"], False)


def test_scoring_takes_the_language_away_and_identification_looks_at_it_alone(tmp_path: Path) -> None:
    spell = build(load("egs/mls/asr/score.yaml")["normaliser"])
    assert spell("[de] guten tag", "de") == "guten tag" and spell("[fr] l eau", "fr") == "l eau"
    path = tmp_path / "units-test.jsonl"
    rows = [("[de] ja", "[de] nein"), ("[de] ja", "[en] yes"), ("[pl] tak", "[pl]"), ("[pl] tak", "")]
    path.write_text("".join(json.dumps({"id": "a", "said": a, "heard": b}) + "\n" for a, b in rows))
    identified = script("egs/mls/asr/local/identified.py").identified
    assert identified(path) == {"de": 50.0, "pl": 50.0, "all": 50.0}
    path.write_text(json.dumps({"id": "a", "said": "ja", "heard": "ja"}))
    with pytest.raises(UserError, match="a does not begin with a language"):
        identified(path)


@pytest.mark.slow
def test_three_languages_from_first_to_last_stage(shell: Shell, corpora: Path, encoder: Path, tmp_path: Path) -> None:
    exp, corpus = tmp_path / "exp", corpora / "librivox_en_de_es"
    given = ["--corpus-dir", corpus, "--encoder", encoder, "--toy", "--exp", exp, "trainer.max_steps=2"]
    said = shell("egs/mls/asr/run.sh", *given)
    assert stages(said.stdout) == list("01234567") and "the right language in " in said.stdout
    rows = read_results(exp / "results.json")["rows"]
    assert {r.get("language") for r in rows if r["metric"] == "wer"} == {None, "de", "en", "es"}


# ------------------------------------------------------------------------------------------------ egs/interspeech2024/asr


def test_ml_superb_reserves_languages_and_long_utterances(tmp_path: Path) -> None:
    prepare = script("egs/interspeech2024/asr/local/ml_superb.py").prepare
    for language, names in (("dan", ["cv_dan_000158", "cv_dan_000159"]), ("deu", ["mls_deu_1", "mls_deu_2"])):
        folder = tmp_path / "superb" / "cv" / language
        (folder / "wav").mkdir(parents=True)
        for i, name in enumerate(names):
            seconds = 21 if name == "mls_deu_2" else 1 + i
            soundfile.write(folder / "wav" / f"{name}.wav", np.zeros(16000 * seconds), 16000)
        lines = "".join(f"{name}\tcv\tGuten [lacht] Tag, Welt!\n" for name in names)
        for table in ("transcript_1h_train.txt", "transcript_10min_test.txt"):
            (folder / table).write_text(lines)
    assert prepare(tmp_path / "superb", tmp_path) == {"train-1h": 2, "test-1h": 4}
    cuts = {cut.id: cut for cut in open_cuts(tmp_path / "cuts_train-1h.jsonl.gz")}
    assert set(cuts) == {"cv_dan_000158", "mls_deu_1"}
    said = cuts["mls_deu_1"].supervisions[0]
    assert (said.text, said.language) == ("GUTEN TAG WELT", "deu")
    with pytest.raises(UserError, match="correct --ml-superb"):
        prepare(tmp_path / "none", tmp_path)


def test_bitrate_of_the_challenge_by_hand(tmp_path: Path) -> None:
    """Two utterances of 2 s with 4 and 8 runs of 16 units: log2(2) + log2(16) and log2(4) + log2(16)."""
    cuts = open_cuts(manifest(tmp_path / "cuts.jsonl.gz", a="ONE", b="TWO"))
    (tmp_path / "units").mkdir()
    with UnitWriter(tmp_path / "units" / "dev.jsonl.gz", Fraction(1, 50), (16,), "made-up") as writer:
        for cut, runs in zip(cuts, (4, 8), strict=True):
            writer.write(cut, torch.arange(runs).repeat_interleave(100 // runs + 1)[:100])
    found = script("egs/interspeech2024/asr/local/bitrate.py").bitrates(None, [str(tmp_path / "units" / "dev")])
    assert found["dev"] == found["all"] and found["all"]["dsu_bitrate"] == pytest.approx((1 + 4 + 2 + 4) / 2)


@pytest.mark.slow
def test_the_challenge_from_first_to_last_stage(shell: Shell, corpora: Path, encoder: Path, tmp_path: Path) -> None:
    exp, corpus = tmp_path / "exp", corpora / "librispeech_transcribed"
    given = ["--corpus-dir", corpus, "--encoder", encoder, "--toy", "--exp", exp, "trainer.max_steps=2"]
    said = shell("egs/interspeech2024/asr/run.sh", *given)
    assert stages(said.stdout) == list("012345678")
    rows = read_results(exp / "bitrate-units_bpe.json")["rows"]
    assert {(r["split"], r["metric"]) for r in rows} == {
        (s, m) for s in ("train", "test", "all") for m in ("dsu_bitrate", "bits_per_second")
    }


OWN = ("train_on()", "configs+=", '[ -z "$speeds" ] ||')  # lines of a run.sh that change what it has sourced


def at_full_size(corpus: str, do: str, labels: str = "100h", speeds: str = "") -> list[str]:
    """The lines that ``do`` prints where run.sh of the corpus has sourced what it sources; recipes are printed, not run."""
    run = (ROOT / "egs" / corpus / "asr" / "run.sh").read_text().splitlines()
    said = [
        f"OLDPWD=; here=egs/{corpus}/asr labels={labels} speeds={speeds} languages=de,fr",
        ". egs/asr.sh; data=x exp=y encoder=e; . $here/full.sh",
        *(line for line in run if line.startswith(OWN)),
        f'recipe() {{ shift; printf "%s\\n" "$@"; }}; {do}',
    ]
    found = subprocess.run(["bash", "-c", "\n".join(said)], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


@pytest.mark.parametrize(
    ("corpus", "cuts"),
    [
        ("librispeech", "[x/cuts_train.jsonl.gz]"),
        ("mls", "[x/cuts_train_de.jsonl.gz,x/cuts_train_fr.jsonl.gz]"),
        ("interspeech2024", "[x/cuts_train.jsonl.gz,x/cuts_train-1h.jsonl.gz]"),
    ],
)
def test_tokenizers_learn_from_all_training_manifests(corpus: str, cuts: str) -> None:
    """One list, whatever data.train looks like."""
    assert at_full_size(corpus, "train_cuts; said_cuts; text_cuts") == [cuts, cuts, cuts]


def test_a_language_model_counts_no_utterance_three_times() -> None:
    once = "x/cuts_said.jsonl.gz"
    found = at_full_size("librispeech", "train_cuts; said_cuts; text_cuts", speeds="1")
    assert found == ["[x/cuts_train.jsonl.gz]", once, once]


@pytest.mark.parametrize("input", ["units_bpe", "units", "fbank", "features", "cached_features"])
@pytest.mark.parametrize(
    ("corpus", "labels"), [("librispeech", "100h"), ("librispeech", "960h"), ("mls", ""), ("interspeech2024", "")]
)
def test_what_is_trained_at_full_size_is_accepted(corpus: str, labels: str, input: str) -> None:
    """No key of what run.sh lays over each other for a GPU is unknown, and every part that it names is there."""
    tree = load(*at_full_size(corpus, f"asr {input}", labels))
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == []
    assert tree["trainer"]["validate_batches"] == 20 and tree["trainer"]["accelerator"] == "gpu"
    assert list(mistakes({"_target_": "recipes.train.train", **tree, "no": 1}, "", False)) != []
