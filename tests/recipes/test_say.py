"""say: a corpus in the voices of its speakers, of others, or of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.embed_speakers import embed_speakers
from recipes.say import say
from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, SpeakerField, UnitsField, VoiceField
from speechunits.data.transcripts import spoken_text
from speechunits.errors import UserError
from speechunits.recipe import run
from speechunits.tasks.vocoding import Vocoding
from speechunits.units.units import Units
from tests.recipes.toy import Corpus
from tests.tasks.voiced import SPEAKER, voiced
from tests.tasks.voices import speaker_encoder


def saved(manifest: Path, out: Path, conditions: Mapping[str, Any]) -> Path:
    """Folder of a vocoder of what is stored in ``manifest``."""
    store.save(voiced(open_cuts(manifest).streams, conditions=conditions), out, kind="vocoder")
    return out


@pytest.fixture(scope="module")
def speakers(corpus: Corpus) -> dict[str, str]:
    return {cut.id: SpeakerField().load(cut) for cut in open_cuts(corpus.train)}


@pytest.fixture(scope="module")
def table(units: Path, speakers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocoder that knows the two speakers by name."""
    names = {**SPEAKER, "names": {**SPEAKER["names"], "names": sorted(set(speakers.values()))}}
    return saved(units / "train.jsonl.gz", tmp_path_factory.mktemp("table") / "vocoder", {"speaker": names})


def test_everybody_speaks_for_himself(units: Path, table: Path, speakers: dict[str, str], tmp_path: Path) -> None:
    manifest = units / "train.jsonl.gz"
    mark = run(say, [f"out={tmp_path / 'own'}", f"vocoder={table}", f"cuts.train={manifest}", "max_seconds=2.5"])
    assert mark["train"]["utterances"] == len(speakers)
    vocoding, field = Vocoding(store.restore(table)), UnitsField().bind(open_cuts(manifest))
    originals = {cut.id: cut for cut in open_cuts(manifest)}
    for made in open_cuts(tmp_path / "own" / "train.jsonl.gz"):
        original = originals.pop(made.id)
        assert SpeakerField().load(made) == speakers[made.id] and spoken_text(made) == spoken_text(original)
        ids = field.collate([field.load(original).reshape(-1, 1)])
        alone = vocoding(Units(ids, field.stream.vocab, field.stream.fingerprint), speaker=speakers[made.id])
        torch.testing.assert_close(AudioField().load(made), alone.data[0], rtol=0, atol=1e-4)  # 16 bits
    assert not originals


def test_other_speakers_and_one(units: Path, table: Path, speakers: dict[str, str], tmp_path: Path) -> None:
    given = [f"vocoder={table}", f"cuts.train={units / 'train.jsonl.gz'}"]
    run(say, [f"out={tmp_path / 'other'}", "voice=other", *given])
    targets = {cut.id: SpeakerField().load(cut) for cut in open_cuts(tmp_path / "other" / "train.jsonl.gz")}
    assert targets.keys() == speakers.keys() and all(targets[name] != speakers[name] for name in speakers)
    one = sorted(set(speakers.values()))[0]
    run(say, [f"out={tmp_path / 'one'}", f"voice={one}", *given])
    made = {cut.id: cut for cut in open_cuts(tmp_path / "one" / "train.jsonl.gz")}
    assert {SpeakerField().load(cut) for cut in made.values()} == {one}
    for cut in open_cuts(tmp_path / "other" / "train.jsonl.gz"):
        same = torch.equal(AudioField().load(cut), AudioField().load(made[cut.id]))
        assert same == (targets[cut.id] == one)


def test_vectors_of_voices_are_lent(corpus: Corpus, units: Path, speakers: dict[str, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    store.save(build(speaker_encoder(), streams={}), tmp_path / "hears", kind="speaker_encoder")
    given = [f"encoder={tmp_path / 'hears'}", f"cuts.train={units / 'train.jsonl.gz'}"]
    run(embed_speakers, [f"out={tmp_path / 'voices'}", *given])
    manifest = tmp_path / "voices" / "train.jsonl.gz"
    size = open_cuts(manifest).streams["voice"].shape[0]
    reads = {"_target_": "speechunits.inputs.voice_input.VoiceInput", "dim_in": size, "dim": 3}
    vocoder = saved(manifest, tmp_path / "vocoder", {"voice": reads})
    run(say, [f"out={tmp_path / 'said'}", f"vocoder={vocoder}", f"cuts.train={manifest}", "voice=other"])
    field = VoiceField().bind(open_cuts(manifest))
    vectors = {cut.id: field.load(cut) for cut in open_cuts(manifest)}
    for cut in open_cuts(tmp_path / "said" / "asked" / "train.jsonl.gz"):
        lenders = [name for name, vector in vectors.items() if torch.equal(vector, field.load(cut))]
        assert {speakers[name] for name in lenders} == {SpeakerField().load(cut)} != {speakers[cut.id]}


def test_what_cannot_be_said(units: Path, table: Path, tmp_path: Path) -> None:
    given = [f"out={tmp_path / 'x'}", f"vocoder={table}"]
    with pytest.raises(UserError, match="has no utterance of zoe; it has "):
        run(say, [*given, f"cuts.train={units / 'train.jsonl.gz'}", "voice=zoe"])
    streams = dict(open_cuts(units / "train.jsonl.gz").streams)
    strange = type(streams["units"])(streams["units"].hop, streams["units"].vocab, "other")
    store.save(voiced({"units": strange}), tmp_path / "stranger", kind="vocoder")
    with pytest.raises(
        UserError, match=f"trained on units of other, and here they are of {streams['units'].fingerprint}"
    ):
        run(
            say, [f"out={tmp_path / 'x'}", f"vocoder={tmp_path / 'stranger'}", f"cuts.train={units / 'train.jsonl.gz'}"]
        )
    assert not (tmp_path / "x" / "train.jsonl.gz").exists()
