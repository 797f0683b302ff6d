"""What people get wrong: exit code 2, one sentence that names the file or the key, nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet
from lhotse.cut import Cut

from recipes.evaluate import evaluate
from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from recipes.train import train
from speechunits import recipe
from speechunits.data.unit_meta import meta_path
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments, save, train_arguments, write_corpus

ROOT = Path(__file__).resolve().parent.parent
HOUSE = {".lock", "train.log", "fit.log", "extract.log", "evaluate.log"}  # stays, and is in nobody's way


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("bad") / "corpus")


@pytest.fixture(scope="module")
def tokenizer(corpus: Corpus) -> Path:
    recipe.run(fit_units, fit_arguments(corpus, corpus.folder.parent / "fit"))
    return corpus.folder.parent / "fit" / "tokenizer"


@pytest.fixture(scope="module")
def made(corpus: Corpus, tokenizer: Path) -> Path:
    out = corpus.folder.parent / "units"
    recipe.run(extract_units, extract_arguments(corpus, out, tokenizer))
    return out


@pytest.fixture
def units(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder of units, to spoil."""
    shutil.copytree(made, tmp_path / "units", ignore=shutil.ignore_patterns(".speechunits"))
    return tmp_path / "units"


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``fails(recipe, arguments)``: what it says on stderr as it exits with 2."""

    def call(fn: Callable[..., Any], arguments: list[str], lines: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", [fn.__name__, *arguments])
        with pytest.raises(SystemExit) as end:
            recipe.main(fn)
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == lines, said
        return said

    return call


def left(out: Path) -> set[str]:
    """What lies in a folder beside the log and the lock."""
    return {p.name for p in out.iterdir()} - HOUSE if out.exists() else set()


def spoilt(path: Path, change: Callable[[list[Cut]], None], name: str = "spoilt") -> Path:
    """``path`` with ``change`` made to its cuts, as a new manifest beside it."""
    cuts = list(CutSet.from_file(path))
    change(cuts)
    new = save(cuts, path.with_name(f"{name}.jsonl.gz"))
    if meta_path(path).exists():
        shutil.copy(meta_path(path), meta_path(new))
    return new


# ------------------------------------------------------------------------------------------------ manifests


def test_missing_manifests(fails: Any, units: Path, tokenizer: Path, corpus: Corpus, tmp_path: Path) -> None:
    out, gone = tmp_path / "out", tmp_path / "gone.jsonl.gz"
    says = f"the manifest {gone} does not exist"
    assert says in fails(train, [*train_arguments(units, out), f"data.train={gone}"]) and not left(out)
    assert says in fails(fit_units, [*fit_arguments(corpus, out), f"cuts={gone}"]) and not left(out)
    assert says in fails(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.a={gone}"]) and not left(out)
    # the mended command runs in the same folder
    recipe.run(fit_units, fit_arguments(corpus, out))


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"", "holds no cuts"), (b'{"id": 1}\n', "line 1 is not a cut"), (b"not json\n", "line 1 is not a cut")],
)
def test_manifests_of_nothing(fails: Any, corpus: Corpus, tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "odd.jsonl.gz"
    path.write_bytes(gzip.compress(text))
    said = fails(fit_units, [*fit_arguments(corpus, tmp_path / "out"), f"cuts={path}"])
    assert says in said and str(path) in said and not left(tmp_path / "out")


def test_a_manifest_that_was_cut_off(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl.gz"
    path.write_bytes(corpus.train.read_bytes()[:-200])
    said = fails(fit_units, [*fit_arguments(corpus, tmp_path / "out"), f"cuts={path}"])
    assert f"{path} cannot be read" in said and not left(tmp_path / "out")


# ------------------------------------------------------------------------------------------------ audio


def replaced(folder: Path, kind: str, samples: int) -> str:
    """A bad audio file of one kind; its name."""
    path = folder / f"{kind}.wav"
    if kind == "text":
        path.write_text("this is no audio\n" * 20)
    elif kind == "nan":
        soundfile.write(path, np.full(samples, np.nan), 16000, subtype="FLOAT")
    elif kind == "empty":
        path.write_bytes(b"")
    return str(path)


def with_bad_audio(path: Path, kinds: list[str]) -> Path:
    def change(cuts: list[Cut]) -> None:
        for cut, kind in zip(cuts, kinds, strict=False):
            cut.recording.sources[0].source = replaced(path.parent, kind, cut.num_samples)

    return spoilt(path, change)


KINDS = ["text", "nan", "empty", "missing"]


def test_bad_audio_in_training_is_skipped_and_counted(units: Path, tmp_path: Path) -> None:
    path, out = with_bad_audio(units / "train.jsonl.gz", KINDS), tmp_path / "out"
    mark = recipe.run(train, [*train_arguments(units, out), f"data.train={path}", "data.max_bad=4"])
    log = (out / "train.log").read_text()
    assert mark["steps"] == 8 and "skipped the unreadable utterance" in log and "(4 so far)" in log
    assert "NaN or infinite samples" in log


def test_too_much_bad_audio_ends_training(fails: Any, units: Path, tmp_path: Path) -> None:
    path, out = with_bad_audio(units / "train.jsonl.gz", KINDS), tmp_path / "out"
    said = fails(train, [*train_arguments(units, out), f"data.train={path}", "data.max_bad=3"])
    assert "4 utterances cannot be read, more than max_bad = 3" in said
    assert "encoder" not in left(out) and "_COMPLETE.json" not in left(out)


def test_bad_audio_in_extraction_is_listed(corpus: Corpus, tokenizer: Path, tmp_path: Path) -> None:
    copy = shutil.copy(corpus.train, tmp_path / "train.jsonl.gz")
    path, out = with_bad_audio(Path(copy), KINDS), tmp_path / "out"
    mark = recipe.run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    assert mark["train"] == {"cuts": 6, "unreadable": 4}
    bad = json.loads((out / "train.bad.json").read_text())
    assert len(bad) == 4 and any("NaN" in why for why in bad.values())


def test_short_cuts(fails: Any, corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    """Some too short: left out and said. All too short: refused."""

    def some(cuts: list[Cut]) -> None:
        cuts[:3] = [c.truncate(duration=d) for c, d in zip(cuts, (0.01, 0.03, 0.049), strict=False)]

    def every(cuts: list[Cut]) -> None:
        cuts[:] = [c.truncate(duration=0.04) for c in cuts]

    copy = Path(shutil.copy(corpus.train, tmp_path / "train.jsonl.gz"))
    path, short, out = spoilt(copy, some), spoilt(copy, every, "short"), tmp_path / "out"
    mark = recipe.run(extract_units, [f"out={out}", f"tokenizer={tokenizer}", f"cuts.train={path}"])
    assert mark["train"]["cuts"] == 7 and "3 of 10 cuts are shorter than 0.05 s" in (out / "extract.log").read_text()
    said = fails(extract_units, [f"out={tmp_path / 'b'}", f"tokenizer={tokenizer}", f"cuts.train={short}"])
    assert f"{short}: no cut of at least 0.05 s is left" in said and not left(tmp_path / "b")
    said = fails(train, [*train_arguments(units, tmp_path / "c"), "data.min_duration=5.0"])
    assert f"{units / 'train.jsonl.gz'}: all 10 cuts are outside the limits" in said and "encoder" not in left(
        tmp_path / "c"
    )


# ------------------------------------------------------------------------------------------------ labels


def edit(manifest: Path, **changes: Any) -> None:
    path = meta_path(manifest)
    tree = json.loads(path.read_text())
    tree["fields"]["units"].update(changes)
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hop": "3/200"}, "the manifest says 3/200 s"),
        ({"hop": "1/50"}, "the manifest says 1/50 s"),
        ({"vocab": [5]}, "outside the manifest's vocabulary (5,)"),
        ({"vocab": [8, 8]}, "but 2 codebook(s)"),
        ({"vocab": "many"}, "does not describe code fields"),
    ],
)
def test_a_meta_file_that_does_not_fit_the_labels(
    fails: Any, units: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    for split in ("train", "valid"):
        edit(units / f"{split}.jsonl.gz", **changes)
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert says in said and not left(tmp_path / "out")


def test_labels_whose_hop_is_no_part_of_the_frames(fails: Any, units: Path, tmp_path: Path) -> None:
    """Labels of 10 ms do not fit frames of 25 ms: refused while the model is put together, with its place."""
    odd = ["model.encoder.frontend.hop=1/40"]
    said = fails(train, [*train_arguments(units, tmp_path / "out"), *odd], lines=2)
    assert (
        "model.objectives.units.target: StoredUnits: cannot align a hop of 1/100 s with one of 1/40 s" in said
        and not left(tmp_path / "out")
    )


def test_labels_that_are_asked_for_by_name(fails: Any, units: Path, tmp_path: Path) -> None:
    for key, value, says in (
        ("fingerprint", "0123456789abcdef", "fingerprint of units is"),
        ("vocab", "[500]", "vocab of units is (8,), not (500,)"),
        ("hop", "1/50", "hop of units is 1/100, not 1/50"),
        ("key", "km500", "has no stored codes km500 (it has units)"),
    ):
        said = fails(train, [*train_arguments(units, tmp_path / key), f"data.fields.units.{key}={value}"])
        assert says in said and not left(tmp_path / key)


def test_labels_of_two_tokenizers(fails: Any, units: Path, tmp_path: Path) -> None:
    edit(units / "valid.jsonl.gz", fingerprint="another")
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert "differs" in said and "extract both with one tokenizer" in said and not left(tmp_path / "out")


def test_a_model_that_reads_what_is_not_there(fails: Any, units: Path, tmp_path: Path) -> None:
    wrong = "model.objectives.units.target.field=letters"
    said = fails(train, [*train_arguments(units, tmp_path / "out"), wrong], lines=2)
    assert "the data has no field 'letters' of stored codes; it has: units" in said and not left(tmp_path / "out")


def test_labels_of_other_audio(fails: Any, units: Path, tmp_path: Path) -> None:
    """Labels of another length: each cut carries those of its neighbour, which is shorter."""

    def swap(cuts: list[Cut]) -> None:
        cuts.sort(key=lambda c: c.duration)
        for cut in cuts[1:]:
            cut.custom["units"] = cuts[0].custom["units"]

    path = spoilt(units / "train.jsonl.gz", swap)
    said = fails(train, [*train_arguments(units, tmp_path / "out"), f"data.train={path}"])
    assert "they belong to other audio" in said and "encoder" not in left(tmp_path / "out")


def test_constant_labels(fails: Any, units: Path, corpus: Corpus, tmp_path: Path) -> None:
    """A codebook of equal centroids: the writer refuses it; written all the same, training does."""
    (codes,) = units.glob("train.units.*.bin")
    codes.write_bytes(bytes(len(codes.read_bytes())))
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert "all labels of units are [0]" in said and str(units / "train.jsonl.gz") in said
    assert not left(tmp_path / "out")


def test_constant_labels_are_not_written(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    recipe.run(fit_units, fit_arguments(corpus, tmp_path / "fit", size=1))
    said = fails(extract_units, extract_arguments(corpus, tmp_path / "out", tmp_path / "fit" / "tokenizer"))
    assert "are one and the same code" in said and not left(tmp_path / "out")


def test_labels_that_are_gone(fails: Any, units: Path, tmp_path: Path) -> None:
    (codes,) = units.glob("train.units.*.bin")
    codes.write_bytes(codes.read_bytes()[:100])
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert f"{codes} was cut off" in said and "extract the units again" in said
    assert "encoder" not in left(tmp_path / "out")


# ------------------------------------------------------------------------------------------------ configurations


def test_mistakes_are_listed_together_before_anything_is_made(fails: Any, units: Path, tmp_path: Path) -> None:
    wrong = ["trainer.max_stpes=3", "optimizer.lr=fast", "data.train=???", "model.encoder.frontend._target_=no.Such"]
    said = fails(train, [*train_arguments(units, tmp_path / "out"), *wrong], lines=5)
    assert said.startswith("error: 4 mistake(s) in the configuration:")
    for says in ("did you mean 'max_steps'?", "optimizer.lr: ", "data.train: must be given", "cannot import 'no.Such'"):
        assert says in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("trainer.max_steps=null", "trainer: build_trainer: "),
        ("trainer.accelerator=gpu", "no usable GPU"),
        ("init_from=nowhere", "nowhere: not an artefact folder"),
        ("model.encoder.encoder.heads=3", "does not divide into 3 heads"),
        ("data.max_seconds=0.5", "longer than max_seconds = 0.5"),
    ],
)
def test_values_that_cannot_work(fails: Any, units: Path, tmp_path: Path, wrong: str, says: str) -> None:
    several = wrong.startswith(("model", "trainer"))
    said = fails(train, [*train_arguments(units, tmp_path / "out"), wrong], lines=2 if several else 1)
    assert says in said and "encoder" not in left(tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("fitter.reservoir=5", "fitter: KMeansFitter: a reservoir of 5 frames cannot seed 8 clusters"),
        ("fitter.share=0", "fitter: KMeansFitter: share is 0"),
        ("features.read=layer:3", "only 'clean' can be read"),
        ("device=abacus", "device=abacus: not on this machine"),
        ("features._target_=speechunits.frontends.mfcc.MFCC", "must build speechunits.units.features.Features"),
    ],
)
def test_fits_that_cannot_work(fails: Any, corpus: Corpus, tmp_path: Path, wrong: str, says: str) -> None:
    arguments = [*fit_arguments(corpus, tmp_path / "out"), wrong]
    if "_target_" in wrong:
        arguments = [a for a in arguments if not a.startswith("features.") or a == wrong]
    said = fails(fit_units, arguments, lines=2 if wrong.startswith(("features.read", "fitter")) else 1)
    assert says in said and not left(tmp_path / "out") - {"fit"}


def test_more_clusters_than_frames(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    said = fails(fit_units, fit_arguments(corpus, tmp_path / "out", size=800))
    assert "800 clusters need at least as many frames" in said and "tokenizer" not in left(tmp_path / "out")


def test_an_evaluation_that_cannot_work(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    place, out = "systems.a._target_=speechunits.units.feature_bank.FeatureBank", tmp_path / "out"
    source = "systems.a.source._target_=speechunits.frontends.mfcc.MFCC"
    about = [f"out={out}", f"symbols={corpus.symbols}", f"data.fit={corpus.train}", f"data.valid={corpus.valid}"]
    assert "data: needs a manifest under each of fit, valid and test; test is missing" in fails(
        evaluate, [*about, place, source]
    )
    rest = [*about, f"data.test={corpus.valid}", place, source]
    said = fails(evaluate, [*rest, "systems.a.reads=[layer:1]"], lines=2)
    assert "systems.a" in said and "only 'clean' can be read" in said
    said = fails(evaluate, [*rest, f"symbols={tmp_path / 'phones.json'}"])
    assert "phones.json" in said and not left(out)


# ------------------------------------------------------------------------------------------------ run.sh


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "10"], "--stage takes a stage from 0 to 9, found '10'"),
        (["--stop-stage"], "--stop-stage takes a stage from 0 to 9, found 'nothing'"),
        (["--stage", "one"], "found 'one'"),
        (["--stage", "5", "--stop-stage", "3"], "nothing to do"),
        (["--quik"], "unknown option --quik"),
        (["quick"], "'quick' is neither an option nor key=value"),
        (["--exp"], "--exp takes a folder"),
    ],
)
def test_run_sh_refuses_before_it_sets_anything_up(tmp_path: Path, arguments: list[str], says: str) -> None:
    """In a copy without an environment and with a setup that would tell."""
    for name in ("egs/demo", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tools" / "setup.sh").write_text("#!/bin/sh\necho set up >&2\nexit 1\n")
    done = subprocess.run(
        ["bash", str(tmp_path / "egs/demo/run.sh"), *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2 and says in done.stderr and "set up" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {"egs", "tools"}


# ------------------------------------------------------------------------------------------------ full disks


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fit_units", "extract_units", "train"])
def test_a_full_disk(name: str, corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    """A real one: a file system of some pages in a mount namespace of its own, gone with the process."""
    out = tmp_path / "small"
    out.mkdir()
    arguments, pages = {
        "fit_units": (fit_arguments(corpus, out / "run"), 9),
        "extract_units": ([a for a in extract_arguments(corpus, out / "run", tokenizer) if "valid" not in a], 4),
        "train": (train_arguments(units, out / "run"), 16),
    }[name]
    script = (
        f'mount -t tmpfs -o size={4 * pages}k tmpfs {out} || exit 77\n"$@"\ncode=$?\nfind {out} -type f\nexit $code'
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", f"recipes.{name}", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and "No space left" in done.stderr and done.stderr.count("\n") == 1
    there = [Path(line) for line in done.stdout.splitlines() if line.startswith(str(out))]
    assert there, "the folder was listed"
    whole = (
        {"state.json", "reservoir-merged.safetensors"} if name == "fit_units" else set()
    )  # a checkpoint to go on from
    names = {p.name for p in there}
    assert names <= {*HOUSE, "config.json", "config.yaml", "versions.json", "metrics.csv", *whole}, names
