"""Text of any origin is scored as recognition scores its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jiwer
import pytest
from lhotse import CutSet

from recipes.score import score
from speechunits import recipe
from speechunits.report.results import read_results
from tests.recipes.toy import Corpus


@pytest.fixture
def heard(corpus: Corpus, tmp_path: Path) -> dict[str, str]:
    """Id -> the reference without its second phone and with one more at the end."""
    said = {cut.id: cut.supervisions[0].text.split() for cut in CutSet.from_file(corpus.valid)}
    return {name: " ".join([words[0], *words[2:], "um"]) for name, words in said.items()}


def test_a_manifest_and_two_systems(corpus: Corpus, heard: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hyp.txt").write_text("".join(f"{name} {text}\n" for name, text in heard.items()))
    (tmp_path / "hyp.trn").write_text("".join(f"{text.upper()} ({name})\n" for name, text in heard.items()))
    given = [
        f"reference={corpus.valid}",
        f"hypotheses.a={tmp_path / 'hyp.txt'}",
        f"hypotheses.b={tmp_path / 'hyp.trn'}",
    ]
    recipe.run(score, [f"out={tmp_path / 'out'}", *given, "normaliser._target_=speechunits.text.normaliser.Normaliser"])
    rows = {(r["system"], r["metric"]): r["value"] for r in read_results(tmp_path / "out" / "results.json")["rows"]}
    said = {cut.id: cut.supervisions[0].text for cut in CutSet.from_file(corpus.valid)}
    want = 100 * jiwer.wer([said[name] for name in heard], list(heard.values()))
    assert rows["a", "wer"] == rows["b", "wer"] == pytest.approx(want)
    assert (tmp_path / "out" / "a-test.speakers.md").is_file()
    # what was written is a reference and a hypothesis at once
    again = [f"reference={tmp_path / 'out' / 'a-test.jsonl'}", f"hypotheses.c={tmp_path / 'out' / 'b-test.jsonl'}"]
    recipe.run(
        score, [f"out={tmp_path / 'again'}", *again, "normaliser._target_=speechunits.text.normaliser.Normaliser"]
    )
    found = {r["metric"]: r["value"] for r in read_results(tmp_path / "again" / "results.json")["rows"]}
    assert found["wer"] == pytest.approx(want) and found["ser"] == 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[1:], "valid.jsonl.gz: 1 of 4 utterances have no hypothesis in"),
        (lambda lines: [*lines, '{"id": "zz", "text": "a"}'], "hyp.jsonl: 1 of 5 utterances have no reference in"),
        (lambda lines: [*lines, lines[0]], "comes twice"),
        (lambda lines: ["x", *lines], "hyp.jsonl, line 1: is not JSON"),
    ],
)
def test_files_that_do_not_fit(
    corpus: Corpus, heard: dict[str, str], tmp_path: Path, change, says: str, monkeypatch, capsys
) -> None:
    lines = [json.dumps({"id": name, "text": text}) for name, text in heard.items()]
    (tmp_path / "hyp.jsonl").write_text("\n".join(change(lines)) + "\n")
    given = [f"out={tmp_path / 'out'}", f"reference={corpus.valid}", f"hypotheses.a={tmp_path / 'hyp.jsonl'}"]
    monkeypatch.setattr(sys, "argv", ["score", *given])
    with pytest.raises(SystemExit) as end:
        recipe.main(score)
    said = capsys.readouterr().err
    assert end.value.code == 2 and says in said and said.count("\n") == 1
    assert {p.name for p in (tmp_path / "out").iterdir()} <= {".lock", "score.log"}
