"""evaluate: systems side by side, the candidate chosen on validation, figures of the test corpus."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest

from recipes.evaluate import evaluate
from recipes.make_demo_corpus import make_demo_corpus
from recipes.train import train
from speechunits.errors import UserError
from speechunits.recipe import run
from tests.recipes.toy import Corpus, train_arguments


def test_systems_side_by_side(corpus: Corpus, units: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(train, train_arguments(units, tmp_path / "net", "trainer.max_steps=1"))
    bank = "_target_=speechunits.units.feature_bank.FeatureBank"
    arguments = [
        f"out={tmp_path / 'out'}", f"symbols={corpus.symbols}", "size=6", "seeds=[0,4]",
        "abx_segments=[phone_any]", "abx_layers=true", "analysis.frames=200",
        f"data.fit={corpus.train}", f"data.valid={corpus.valid}", f"data.test={corpus.train}",
        f"systems.mfcc.{bank}", "systems.mfcc.source._target_=speechunits.frontends.mfcc.MFCC",
        "systems.mfcc.every=2", "systems.mfcc.pools=[first,mean]",
        f"systems.random.{bank}", "systems.random.source._target_=speechunits.store.untrained",
        f"systems.random.source.folder={tmp_path / 'net' / 'encoder'}", "systems.random.reads=[layer:1,layer:2]",
    ]  # fmt: skip
    mark = run(evaluate, arguments)
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert mark["rows"] == len(rows)
    for system, candidates in (("mfcc", {"clean/first2", "clean/mean2"}), ("random", {"layer:1", "layer:2"})):
        valid = [r for r in rows if r["system"] == system and r["split"] == "valid" and r["metric"] == "pnmi"]
        assert {(r["candidate"], r["seed"]) for r in valid} == {(c, s) for c in candidates for s in (0, 4)}
        abx = [r for r in rows if r["system"] == system and r["split"] == "valid" and "across" in r["metric"]]
        assert [(r["candidate"], r["seed"]) for r in abx] == [
            (c, 0) for c in dict.fromkeys(r["candidate"] for r in valid)
        ]
        score = {c: mean(r["value"] for r in valid if r["candidate"] == c) for c in candidates}
        test = [r for r in rows if r["system"] == system and r["split"] == "test"]
        (chosen,) = {r["candidate"] for r in test}
        assert score[chosen] == max(score.values())
        assert {r["seed"] for r in test if r["metric"] == "pnmi"} == {0, 4}
        assert {"pnmi", "phone_purity", "usage", "bitrate", "uer"} <= {r["metric"] for r in test}
    places = [("mfcc", "clean/first2"), ("mfcc", "clean/mean2"), ("random", "layer:1"), ("random", "layer:2")]
    for metric in ("cca_phone", "effective_rank"):
        found = [r for r in rows if r["metric"] == metric]
        assert [(r["system"], r["candidate"]) for r in found] == places and all("seed" not in r for r in found)
    alike = [r for r in rows if r["metric"] == "cka"]
    assert [((r["system"], r["candidate"]), (r["other_system"], r["other_candidate"])) for r in alike] == list(
        combinations(places, 2)
    )
    assert all(0 < r["value"] < 1 for r in alike)
    said = capsys.readouterr().out
    assert "random layer:2" in said and "random: cluster layer:" in said
    layers = {r["candidate"]: r.get("layer") for r in rows if r["metric"] == "pnmi"}
    assert layers["layer:2"] == 2 and layers["clean/mean2"] is None
    again = run(evaluate, [*arguments, f"out={tmp_path / 'again'}"])
    assert again["rows"] == mark["rows"]
    assert json.loads((tmp_path / "again" / "results.json").read_text())["rows"] == rows, "the same figures again"


def test_an_unknown_demo_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no demo corpus 'huge'; there are: tiny, quick, demo, long"):
        run(make_demo_corpus, [f"out={tmp_path}", "preset=huge"])
    assert {p.name for p in tmp_path.iterdir()} == {".lock"}
