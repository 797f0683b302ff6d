from __future__ import annotations

import gzip
import hashlib
import json
import logging
import mmap
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from speechunits.data.cuts import open_cuts, write_cuts
from speechunits.data.length_index import index_manifest
from speechunits.errors import UserError

Corpus = Callable[..., Path]


@pytest.mark.parametrize("plain", [False, True])
def test_any_cut_by_its_number(corpus: Corpus, plain: bool):
    path = corpus([0.3, 0.5, 0.4])
    theirs = list(CutSet.from_file(path))
    if plain:
        path = path.with_suffix("")
        CutSet.from_cuts(theirs).to_file(path)
    cuts = open_cuts(path)
    assert [cuts[i] for i in (2, 0, 1)] == [theirs[i] for i in (2, 0, 1)]
    assert list(cuts) == theirs and len(cuts) == 3
    assert cuts.ids == ("a0", "a1", "a2") and cuts.row("a2") == 2
    np.testing.assert_allclose(cuts.seconds, [0.3, 0.5, 0.4])
    assert cuts.rates.tolist() == [16000] * 3
    with pytest.raises(IndexError):
        cuts[3]
    with pytest.raises(UserError, match="no cut nobody"):
        cuts.row("nobody")


def test_several_manifests_are_one(corpus: Corpus):
    paths = [corpus([0.3, 0.5], "a"), corpus([0.2], "b", 8000), corpus([0.4], "c")]
    cuts = open_cuts(paths)
    assert [c.id for c in cuts] == list(cuts.ids) == ["a0", "a1", "b0", "c0"]
    assert cuts.rates.tolist() == [16000, 16000, 8000, 16000]
    assert cuts.hash != open_cuts(paths[:2]).hash
    again = pickle.loads(pickle.dumps(cuts))  # as a spawned loader worker gets it
    assert again[2] == cuts[2] and len(pickle.dumps(cuts)) < 2000


def test_index_is_built_once_and_again_when_stale(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    path = corpus([0.3, 0.5])
    first = index_manifest(path)
    assert first.lines.parent.name == ".speechunits" and first.lines.read_bytes() == gzip.decompress(path.read_bytes())
    with monkeypatch.context() as m:
        m.setattr("speechunits.data.length_index._build", lambda *_: pytest.fail("the index was fresh"))
        second = index_manifest(path)
    assert list(second.ids) == list(first.ids) == ["a0", "a1"] and second.hash == first.hash
    np.testing.assert_array_equal(second.offsets, first.offsets)
    time.sleep(0.01)
    corpus([0.3, 0.6])
    third = index_manifest(path)
    assert third.hash != first.hash and third.seconds[1] == 0.6
    assert not first.lines.exists()  # no copies pile up


def test_an_index_is_mapped_and_not_copied(corpus: Corpus):
    """Read-only pages of the file: forked workers and the ranks of one machine share them."""
    cuts = open_cuts(corpus([0.3, 0.5]))
    ids = cuts._parts[0].ids
    for array in (cuts.seconds, cuts.rates, ids.text, ids.ends, ids.hashes, ids.order, cuts._parts[0].offsets):
        while not isinstance(array, mmap.mmap):
            assert not array.flags.owndata and not array.flags.writeable
            array = array.base
    with pytest.raises(ValueError, match="read-only"):
        cuts.seconds[0] = 1


def test_hash_is_that_of_earlier_versions(corpus: Corpus):
    """The plan of a run under way depends on it."""
    ids, seconds = "a0\na1\na2", np.array([0.3, 0.5, 0.4])
    assert open_cuts(corpus([0.3, 0.5, 0.4])).hash == hashlib.sha256(ids.encode() + seconds.tobytes()).hexdigest()


def index_in_process(path: Path) -> int:
    return open_cuts(path)._parts[0].lines.stat().st_mtime_ns


def test_processes_that_start_together_build_one_index(corpus: Corpus, caplog: pytest.LogCaptureFixture):
    path = corpus([0.2] * 40)
    with ThreadPoolExecutor(3) as pool, caplog.at_level(logging.INFO):
        assert len(set(pool.map(index_in_process, [path] * 3))) == 1
    assert caplog.text.count("indexed 40 cuts") == 1
    assert sorted(p.name for p in (path.parent / ".speechunits").iterdir() if p.suffix != ".jsonl") == [
        "a.jsonl.gz.index.safetensors",
        "a.jsonl.gz.lock",
    ]


def test_a_manifest_that_changes_under_a_worker_is_named(corpus: Corpus):
    path = corpus([0.3, 0.5])
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    cuts = open_cuts(plain)
    sent = pickle.dumps(cuts)
    plain.write_bytes(plain.read_bytes()[40:])
    with pytest.raises(UserError, match=r"a.jsonl changed since it was opened \(.*\); start again"):
        cuts[0]
    plain.write_bytes(gzip.decompress(corpus([0.3, 0.6]).read_bytes()))
    with pytest.raises(UserError, match=r"a.jsonl changed since it was opened; start again"):
        pickle.loads(sent)


def test_hash_is_of_ids_and_durations(corpus: Corpus, tmp_path: Path):
    """Moving the audio or adding labels changes no batch."""
    path = corpus([0.3, 0.5])
    moved = CutSet.from_file(path).with_recording_path_prefix("elsewhere")
    moved.to_file(tmp_path / "moved.jsonl.gz")
    assert open_cuts(tmp_path / "moved.jsonl.gz").hash == open_cuts(path).hash


def test_index_goes_to_the_cache_where_the_corpus_is_read_only(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = corpus([0.3])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (path.parent / ".speechunits").write_text("a file, so no folder can be made, also by root")
    assert open_cuts(path)[0].id == "a0"
    assert list((tmp_path / "cache").rglob("*.safetensors"))


def test_mistakes(corpus: Corpus, tmp_path: Path):
    with pytest.raises(UserError, match=r"none.jsonl.gz does not exist; run run.sh --stage 2"):
        open_cuts(tmp_path / "none.jsonl.gz", made_by="run.sh --stage 2")
    with pytest.raises(UserError, match=r"no manifest was given"):
        open_cuts([])
    empty = tmp_path / "empty.jsonl.gz"
    gzip.open(empty, "w").close()
    with pytest.raises(UserError, match=r"empty.jsonl.gz holds no cuts"):
        open_cuts(empty)
    (tmp_path / "cuts.csv").write_text("id\n")
    with pytest.raises(UserError, match=r"cuts.csv is neither"):
        open_cuts(tmp_path / "cuts.csv")
    recordings = tmp_path / "recordings.jsonl"
    recordings.write_text(json.dumps({"id": "r", "sources": [], "sampling_rate": 16000}) + "\n")
    with pytest.raises(UserError, match=r"recordings.jsonl: line 1 is not a cut"):
        open_cuts(recordings)
    cut = gzip.decompress(corpus([0.3]).read_bytes())
    (tmp_path / "cut_off.jsonl.gz").write_bytes(gzip.compress(cut)[:-20])
    with pytest.raises(UserError, match=r"cut_off.jsonl.gz cannot be read"):
        open_cuts(tmp_path / "cut_off.jsonl.gz")
    (tmp_path / "twice.jsonl").write_bytes(cut + cut)
    with pytest.raises(UserError, match=r"twice.jsonl names the cut a0 twice"):
        open_cuts(tmp_path / "twice.jsonl")
    (tmp_path / "once.jsonl").write_bytes(cut)
    with pytest.raises(UserError, match=r"the cut a0 is in more than one of"):
        open_cuts([tmp_path / "once.jsonl", corpus([0.3])])
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_written_is_what_lhotse_writes_whole_or_not_at_all(corpus: Callable[..., Path], tmp_path: Path) -> None:
    cuts = CutSet.from_file(corpus([0.3, 0.5]))
    cuts.to_file(tmp_path / "theirs.jsonl.gz")
    made = {}
    for name in ("a", "b"):
        write_cuts(tmp_path / f"{name}.jsonl.gz", cuts)
        made[name] = (tmp_path / f"{name}.jsonl.gz").read_bytes()
    assert made["a"] == made["b"] and gzip.decompress(made["a"]) == gzip.decompress(
        (tmp_path / "theirs.jsonl.gz").read_bytes()
    )
    with pytest.raises(ZeroDivisionError):
        write_cuts(tmp_path / "half.jsonl.gz", (cut.pad(1 / (cut.id != "a1")) for cut in cuts))
    assert {path.name for path in tmp_path.glob("*half*")} == set()
