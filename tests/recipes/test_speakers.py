"""embed_speakers and verify_speakers: from a folder to vectors beside the audio and to error rates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recipes.embed_speakers import embed_speakers
from recipes.verify_speakers import verify_speakers
from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, SpeakerField, VoiceField
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.report.results import read_results
from tests.recipes.toy import Corpus
from tests.tasks.voices import speaker_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("speakers") / "speaker_encoder"
    store.save(build(speaker_encoder(), streams={}), out, kind="speaker_encoder")
    return out


def own(folder: Path, manifest: Path) -> dict[str, torch.Tensor]:
    """Cut id -> its vector, one by one."""
    encoder, audio = store.restore(folder), AudioField()
    return {cut.id: encoder.embed(audio.collate([audio.load(cut)]))[0] for cut in open_cuts(manifest)}


def test_vectors_beside_the_audio(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    given = [f"encoder={folder}", f"cuts.train={corpus.train}", "max_seconds=2.5"]
    mark = run(embed_speakers, [f"out={tmp_path / 'own'}", *given])
    assert mark["train"] == {"cuts": 10, "unreadable": 0}
    assert mark["fingerprint"] == store.read_meta(folder)["fingerprint"]
    cuts, expected = open_cuts(tmp_path / "own" / "train.jsonl.gz"), own(folder, corpus.train)
    field = VoiceField(fingerprint=mark["fingerprint"]).bind(cuts)
    for cut in cuts:
        torch.testing.assert_close(field.load(cut), expected[cut.id], rtol=1e-3, atol=1e-3)


def test_vectors_of_another_utterance(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    given = [f"encoder={folder}", f"cuts.train={corpus.train}", "reference=other"]
    run(embed_speakers, [f"out={tmp_path / 'other'}", *given])
    cuts, expected = open_cuts(tmp_path / "other" / "train.jsonl.gz"), own(folder, corpus.train)
    speakers = {cut.id: SpeakerField().load(cut) for cut in cuts}
    field = VoiceField().bind(cuts)
    for cut in cuts:
        distances = {name: float((vector - field.load(cut)).abs().max()) for name, vector in expected.items()}
        nearest = min(distances, key=lambda name: distances[name])
        assert nearest != cut.id and speakers[nearest] == speakers[cut.id] and distances[nearest] < 2e-3


def test_error_rates_of_all_pairs_and_of_a_list(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    given = [f"systems.toy={folder}", f"cuts.test={corpus.train}"]
    run(verify_speakers, [f"out={tmp_path / 'all'}", *given])
    rows = {row["metric"]: row for row in read_results(tmp_path / "all" / "results.json")["rows"]}
    assert set(rows) == {"eer", "cosine_same", "cosine_different"}
    assert rows["eer"]["trials"] == 45 and rows["eer"]["speakers"] == 2 and 0 <= rows["eer"]["value"] <= 100
    voices = own(folder, corpus.train)
    ids = list(voices)
    (tmp_path / "trials.txt").write_text(f"1 {ids[0]} {ids[2]}\n0 {ids[0]} {ids[1]}\n")
    run(verify_speakers, [f"out={tmp_path / 'list'}", *given, f"trials.test={tmp_path / 'trials.txt'}"])
    lines = [line.split() for line in (tmp_path / "list" / "toy-test.txt").read_text().splitlines()]
    assert [line[:2] for line in lines] == [[ids[0], ids[2]], [ids[0], ids[1]]]
    for left, right, score in lines:
        assert float(score) == pytest.approx(float(voices[left] @ voices[right]), abs=1e-5)
    rows = {row["metric"]: row["value"] for row in read_results(tmp_path / "list" / "results.json")["rows"]}
    assert rows["cosine_same"] == pytest.approx(float(lines[0][2]), abs=1e-5)


def test_what_verification_refuses(corpus: Corpus, folder: Path, tokenizer: Path, tmp_path: Path) -> None:
    given = [f"out={tmp_path / 'x'}", f"cuts.test={corpus.train}"]
    with pytest.raises(UserError, match="holds a UnitTokenizer, but a SpeakerEncoder is needed"):
        run(verify_speakers, [*given, f"systems.toy={tokenizer}"])
    with pytest.raises(UserError, match=r"trials\.dev: there is no cuts\.dev"):
        run(verify_speakers, [*given, f"systems.toy={folder}", "trials.dev=a.txt"])
