"""The page as a whole, by the recipe: self-contained, complete, and without what was not given."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from recipes.report import report
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.phone_field import PhoneField
from speechunits.errors import UserError
from speechunits.metrics.unit_purity import UnitPurity
from speechunits.recipe import run
from speechunits.report.examples import Examples, _spread
from speechunits.report.page import Section, page, write_page
from speechunits.report.results import write_results
from speechunits.report.sections import duration
from speechunits.seq import pad
from speechunits.units.tokenizer import UnitTokenizer


class Document(HTMLParser):
    """What a page says and which addresses it uses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == [], "tags are left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "poster", "data", "action")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1] != "style":
            self.words += data


@pytest.fixture
def results(tmp_path: Path, origin: dict[str, str]) -> str:
    rows: list[dict[str, Any]] = []
    for i, system in enumerate(("mfcc", "random", "hubert_it1", "hubert_it2")):
        on_test = {"system": system, "split": "test"}
        rows += [{**on_test, "metric": "pnmi", "value": 0.4 + 0.08 * i + 0.01 * s, "seed": s} for s in (0, 1)]
        rows += [{**on_test, "metric": "abx", "value": 20.0 - 3.1 * i, "seed": 0}]
        layers = range(7) if i > 1 else [None]
        for n in layers:
            bump = 0.02 * n * (1.4 - 0.12 * n) if n is not None else 0.0
            rows += [
                {"system": system, "metric": "pnmi", "value": 0.35 + 0.07 * i + bump, "split": "valid", "layer": n}
            ]
    write_results(tmp_path / "measured.json", rows, origin)
    return str(tmp_path / "measured.json")


def test_the_whole_report(
    tmp_path: Path, results: str, manifest: Path, tokenizers: dict[str, str],
    training_run: Callable[..., str], stage: Callable[..., str],
) -> None:  # fmt: skip
    claim = {"better": "hubert_it1", "than": "mfcc", "metric": "pnmi", "margin": 0.03}
    lower = {"better": "hubert_it2", "than": "hubert_it1", "metric": "abx", "margin": 5, "lower_is_better": True}
    arguments = {
        "out": str(tmp_path / "exp" / "report"), "exp": str(tmp_path), "title": "Demo <HuBERT> & units",
        "results": ["measured.json"],
        "runs": {"hubert_it1": training_run("hubert_it1"), "hubert_it2": training_run("hubert_it2", 1.6)},
        "tokenizers": tokenizers, "examples": {"cuts": str(manifest), "count": 2}, "claims": [claim, lower],
        "stages": ["corpus", "train/it1", "train/it2"],
    }  # fmt: skip
    Path(arguments["runs"]["hubert_it1"], "_COMPLETE.json").write_text('{"seconds": 75.2, "train/audio_hours": 5.5}')
    stage("corpus"), stage("train/it1", seconds=75.2), stage("train/it2", seconds=20.0)
    mark = run(report, [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items()])
    assert (mark["claims"], mark["reached"]) == (2, 1)
    merged, given = (json.loads(path.read_text()) for path in (tmp_path / "results.json", Path(results)))
    trained = [row for row in merged["rows"] if row not in given["rows"]]
    assert merged == {**given, "rows": [*given["rows"], *trained]}
    cost = {(row["system"], row["metric"]): row["value"] for row in trained}
    assert cost == {("hubert_it1", "train_seconds"): 75.2, ("hubert_it1", "train_hours"): 5.5}, "it2 is not finished"
    text = (tmp_path / "report.html").read_text()
    document = Document(text)
    assert document.headings == ["Results", "Training", "Layers", "Units", "Examples", "Time"]
    assert "Demo <HuBERT> & units" in document.words
    assert "hubert_it1 exceeds mfcc by 0.160 PNMI on test (goal ≥ 0.03 higher: reached" in document.words
    assert "hubert_it2 is below hubert_it1 by 3.100 ABX on test (goal ≥ 5 lower: missed)" in document.words
    assert "0.565 ± 0.007 (2)" in document.words  # hubert_it1: 0.56 and 0.57
    assert "1 min 35 s" in document.words and "not recorded" in document.words
    assert "0123456789abcdef" in document.words and "torch 2.11.0" in document.words
    assert len(text) < 8_000_000

    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert all(a.startswith(("data:image/png;base64,", "data:audio/flac;base64,", "#s")) for a in document.addresses)
    pictures = [a for a in document.addresses if a.startswith("data:image")]
    assert len(pictures) == 1 + 1 + 1 + 2 + 2  # curves, layers, usage, two heat maps, two spectrograms
    assert all(base64.b64decode(a.split(",")[1])[:8] == b"\x89PNG\r\n\x1a\n" for a in pictures)
    heard = [base64.b64decode(a.split(",")[1]) for a in document.addresses if a.startswith("data:audio")]
    first = soundfile.read(io.BytesIO(heard[0]))[0]
    np.testing.assert_allclose(first, soundfile.read(manifest.parent / "u03.flac")[0], atol=1e-4)


def test_what_is_not_given_does_not_appear(tmp_path: Path, results: str, manifest: Path) -> None:
    report(str(tmp_path / "a"), str(tmp_path / "a"), "little", [results])
    assert Document((tmp_path / "a" / "report.html").read_text()).headings == ["Results", "Layers"]
    report(str(tmp_path / "b"), str(tmp_path / "b"), "to hear", [results], examples={"cuts": str(manifest), "count": 1})
    assert Document((tmp_path / "b" / "report.html").read_text()).headings == ["Results", "Layers", "Examples"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": ["nowhere.json"]}, "nowhere.json: missing"),
        ({"results": []}, "no result file"),
        ({"runs": {"a": "no/run"}}, "no/run/metrics.csv: cannot be read"),
        ({"tokenizers": {"a": "no/tokenizer"}}, "no/tokenizer: not an artefact"),
        ({"stages": ["no/stage"]}, "no/stage/_COMPLETE.json: missing"),
        ({"examples": {"cuts": "no.jsonl.gz"}}, "no.jsonl.gz does not exist"),
        ({"examples": {"cut": "no.jsonl.gz"}}, "did you mean 'cuts'"),
        ({"claims": [{"better": "a", "than": "b", "metric": "pnmi", "marign": 1}]}, "did you mean 'margin'"),
        ({"claims": [{"better": "a", "than": "mfcc", "metric": "pnmi"}]}, "'a' has no pnmi on test"),
        ({"split": "dev"}, "no results of the split 'dev'; there are: test, valid"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, results: str, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        report(**{"out": str(tmp_path / "r"), "exp": str(tmp_path / "r"), "title": "t", "results": [results], **change})
    assert not (tmp_path / "r" / "report.html").exists()


def test_the_heat_map_counts_what_the_measure_counts(
    tmp_path: Path, manifest: Path, tokenizers: dict[str, str]
) -> None:
    examples, cuts = Examples(str(manifest)), open_cuts(manifest)
    for folder in tokenizers.values():
        tokenizer = UnitTokenizer.load(folder)
        found = examples.count_codes(tokenizer, tmp_path / "phones.json")
        assert found.utterances == 12 and found.joint.shape == (10, tokenizer.vocab[0])
        share = found.joint / found.joint.sum()
        mutual = np.nansum(share * np.log(np.where(share > 0, share, np.nan) / np.outer(share.sum(1), share.sum(0))))
        phones = share.sum(1)
        measure = UnitPurity()
        field = PhoneField(str(tmp_path / "phones.json"), hop=str(tokenizer.hop)).bind(cuts)
        for cut in cuts:
            codes = tokenizer.codes(examples.audio.collate([examples.audio.load(cut)]))
            measure.update({"units": codes}, {"ids": [cut.id], "phones": pad([field.load(cut)], tokenizer.hop)})
        assert -mutual / (phones * np.log(phones)).sum() == pytest.approx(measure.compute()["pnmi"], abs=1e-9)
        assert found.codes.sum() >= found.joint.sum() > 0.9 * found.codes.sum()


def test_examples_are_spread_and_short_enough(manifest: Path) -> None:
    assert _spread(np.arange(10), 3) == [1, 5, 8]
    assert _spread(np.arange(3), 5) == [0, 1, 2]
    assert _spread(np.arange(3), 0) == []
    longest = float(open_cuts(manifest).seconds.max())
    shown = Examples(str(manifest), count=4, max_seconds=longest - 0.1).shown()
    assert len({said.name for said in shown}) == 4
    assert all(len(said.samples) / said.rate < longest - 0.1 for said in shown)
    assert shown[0].phones[0].label == "sil" and shown[0].text.startswith("tones number")
    with pytest.raises(UserError, match=r"shortest cut of .*cuts\.jsonl\.gz has .* raise examples\.max_seconds"):
        Examples(str(manifest), max_seconds=0.1).shown()


def test_a_page_is_escaped_and_limited(tmp_path: Path) -> None:
    text = page("<b>", {"command": "a < b", "empty": ""}, [Section("A & B", "<p>x</p>"), Section("gone", "")])
    document = Document(text)
    assert document.headings == ["A & B"] and "a < b" in document.words and "empty" not in document.words
    with pytest.raises(UserError, match=r"large\.html: the page would have 9\.0 MB"):
        write_page(tmp_path / "large.html", "x" * 9_000_000)
    assert list(tmp_path.iterdir()) == []


def test_durations_read_well() -> None:
    said = {0.04: "0.0 s", 59.94: "59.9 s", 75.2: "1 min 15 s", 3600: "1 h 00 min", 7384: "2 h 03 min"}
    assert {seconds: duration(seconds) for seconds in said} == said
