"""fit_units: the same codebook from one process, from two, and after any interruption."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recipes.fit_units import fit_units
from recipes.train import train
from speechunits import store
from speechunits.data.read_audio import read_audio
from speechunits.recipe import run
from speechunits.units.tokenizer import UnitTokenizer
from tests.recipes.toy import Corpus, fit_arguments, several, start, train_arguments

EVERY_STAGE = {"fitter.extra_passes": 2, "fitter.reservoir": 300, "fitter.save_every": 1, "fitter.n_init": 2}


def test_what_a_fit_leaves_behind(corpus: Corpus, tokenizer: Path) -> None:
    out = tokenizer.parent
    mark = store.read_json(out / "_COMPLETE.json")
    made = UnitTokenizer.load(tokenizer)
    assert mark["fingerprint"] == made.fingerprint == store.read_meta(tokenizer)["fingerprint"]
    assert mark["utterances"] == 10 and mark["frames"] == pytest.approx(mark["audio_seconds"] * 100)
    assert made.vocab == (8,) and float(made.hop) == 0.01
    assert sorted(p.name for p in tokenizer.iterdir()) == ["config.yaml", "meta.json", "weights.safetensors"]
    assert "stage=lloyd" in (out / "fit.log").read_text()


def test_a_layer_of_an_encoder_becomes_a_tokenizer_of_its_own(corpus: Corpus, units: Path, tmp_path: Path) -> None:
    """The second iteration: the encoder travels inside the tokenizer, and is named as what it was made from."""
    run(train, train_arguments(units, tmp_path / "net", "trainer.max_steps=2"))
    encoder = tmp_path / "net" / "encoder"
    arguments = [a for a in fit_arguments(corpus, tmp_path / "fit") if not a.startswith("features.source")]
    source = ["features.source._target_=speechunits.store.restore", f"features.source.folder={encoder}"]
    run(fit_units, [*arguments, *source, "features.read=layer:1"])
    name = store.read_meta(encoder)["fingerprint"]
    audio = read_audio(corpus.folder / "wav" / "train0.wav")
    net = store.restore(encoder)
    shutil.rmtree(tmp_path / "net")
    made = UnitTokenizer.load(tmp_path / "fit" / "tokenizer")
    assert store.read_meta(tmp_path / "fit" / "tokenizer")["derived_from"] == [name]
    with torch.no_grad():
        vectors = net(audio).read("layer:1")
    assert made.codes(audio).data[..., 0].equal(made.quantizer.codes(vectors).data) and float(made.hop) == 0.02


@pytest.mark.slow
def test_two_processes_give_the_codebook_of_one(corpus: Corpus, tmp_path: Path) -> None:
    run(fit_units, fit_arguments(corpus, tmp_path / "one", **EVERY_STAGE))
    several(2, "fit_units", fit_arguments(corpus, tmp_path / "two", **EVERY_STAGE))
    one, two = (load_file(tmp_path / n / "tokenizer" / "weights.safetensors") for n in ("one", "two"))
    assert one.keys() == two.keys() and all(one[k].equal(two[k]) for k in one)
    marks = [json.loads((tmp_path / n / "_COMPLETE.json").read_text()) for n in ("one", "two")]
    assert marks[0]["fingerprint"] == marks[1]["fingerprint"]
    # and a finished folder is not made twice by any of them
    assert "finished already" in several(2, "fit_units", fit_arguments(corpus, tmp_path / "two", **EVERY_STAGE))


@pytest.mark.slow
def test_a_killed_fit_is_continued_to_the_same_codebook(corpus: Corpus, tmp_path: Path) -> None:
    """SIGKILL in the middle of the second pass over a corpus that is slow to read; then the same command again."""
    plain = fit_arguments(corpus, tmp_path / "killed", **EVERY_STAGE)
    slow = [a.replace("speechunits.units.features.Features", "tests.recipes.slow_parts.SlowFeatures") for a in plain]
    whole = run(fit_units, fit_arguments(corpus, tmp_path / "whole", **EVERY_STAGE))
    process = start("fit_units", slow)
    state = tmp_path / "killed" / "fit" / "state.json"
    seen: dict[str, object] = {}
    for _ in range(1200):
        time.sleep(0.05)
        if state.exists():
            seen = json.loads(state.read_text())
            if seen["stage"] == "refine" and seen["position"]:
                break
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert seen["stage"] == "refine" and not (tmp_path / "killed" / "_COMPLETE.json").exists()
    assert not (tmp_path / "killed" / "tokenizer").exists()
    again = run(fit_units, slow)
    one, two = (load_file(tmp_path / n / "tokenizer" / "weights.safetensors") for n in ("whole", "killed"))
    assert all(one[k].equal(two[k]) for k in one)
    assert again["frames"] == whole["frames"] and again["pass_inertia"] == whole["pass_inertia"]
    assert "stage=collect" not in (tmp_path / "killed" / "fit.log").read_text().split("stage=refine", 1)[1]
