"""Result files, tables and claims, with figures worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from speechunits.errors import UserError
from speechunits.report.claim import Claim
from speechunits.report.results import markdown_table, merge_results, read_results, summarise, write_results


def row(system: str, metric: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {"system": system, "metric": metric, "value": value, "split": "test", **more}


SEEDS = [row("hubert", "pnmi", v, seed=i, layer=4 + i) for i, v in enumerate((0.60, 0.62, 0.67))]
MFCC = [row("mfcc", "pnmi", 0.589), row("mfcc", "abx", 12.34), row("hubert", "abx", 9.0, seed=0, layer=4)]


def test_a_file_comes_back_as_it_was_written(tmp_path: Path, origin: dict[str, str]) -> None:
    path = tmp_path / "results.json"
    write_results(path, [*SEEDS, row("mfcc", "pnmi", math.nan)], origin)
    found = read_results(path)
    assert found["rows"] == [*SEEDS, row("mfcc", "pnmi", None)]
    assert (found["commit"], found["command"]) == (origin["git"], origin["command"])
    assert found["machine"] == "Linux, 2 CPUs, GPU: none"
    assert found["versions"] == {"speechunits": "0.1.0", "python": "3.11.2", "torch": "2.11.0"}
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_the_table_shows_mean_deviation_and_number_of_seeds() -> None:
    # mean 1.89 / 3 = 0.63; deviation sqrt((0.03^2 + 0.01^2 + 0.04^2) / 2) = 0.03606
    assert markdown_table({"rows": [*SEEDS, *MFCC]}) == (
        "| system | pnmi | abx |\n|---|---|---|\n| hubert | 0.630 ± 0.036 (3) | 9.000 |\n| mfcc | 0.589 | 12.34 |\n"
    )
    only = markdown_table({"rows": [*SEEDS, *MFCC, row("random", "wer", 100.0)]}, metrics=["abx"])
    assert only.splitlines()[2:] == ["| hubert | 9.000 |", "| mfcc | 12.34 |", "| random | – |"]


def test_one_value_with_its_interval() -> None:
    sure = [row("a", "wer", 12.345, low=10.0, high=15.5, utterances=9), row("b", "wer", 8.0, utterances=9)]
    assert markdown_table({"rows": sure}).splitlines()[2:] == ["| a | 12.35 [10.00, 15.50] |", "| b | 8.000 |"]
    of_seeds = [row("a", "wer", 10.0 + i, low=9.0, high=12.0 + i, seed=i) for i in range(2)]
    assert markdown_table({"rows": of_seeds}).splitlines()[2:] == ["| a | 10.50 ± 0.71 (2) |"]


def test_rows_of_one_seed_are_told_apart_by_what_differs() -> None:
    rows = [
        row("hubert", "pnmi", v, layer=layer, vocab=100, seed=s)
        for layer, s, v in ((1, 0, 0.2), (1, 1, 0.4), (2, 0, 0.5))
    ]
    found = summarise(rows)
    assert list(found) == ["hubert, layer 1", "hubert, layer 2"]
    assert found["hubert, layer 1"]["pnmi"].mean == pytest.approx(0.3)
    assert found["hubert, layer 2"]["pnmi"].count == 1


def test_other_splits_and_missing_values_stay_out() -> None:
    rows = [row("a", "pnmi", 0.5), {**row("a", "pnmi", 0.9), "split": "valid"}, row("b", "pnmi", None)]
    assert markdown_table({"rows": rows}).splitlines()[2:] == ["| a | 0.500 |", "| b | – |"]
    with pytest.raises(UserError, match="no results of the split 'dev'; there are: test, valid"):
        markdown_table({"rows": rows}, split="dev")


def test_merging_keeps_every_row_once_and_lists_what_differs(tmp_path: Path, origin: dict[str, str]) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_results(first, SEEDS, origin)
    write_results(second, [SEEDS[0], *MFCC], {**origin, "git": "fedcba", "torch": "2.12.0"})
    merged = merge_results([first, second])
    assert merged["rows"] == [*SEEDS, *MFCC]
    assert merged["commit"] == f"{origin['git']}, fedcba"
    assert merged["versions"]["torch"] == "2.11.0, 2.12.0"
    assert merged["versions"]["python"] == "3.11.2"
    assert merged["command"] == origin["command"]
    assert merge_results([first]) == read_results(first)


def test_files_that_disagree_are_refused(tmp_path: Path, origin: dict[str, str]) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_results(first, MFCC, origin)
    write_results(second, [row("mfcc", "pnmi", 0.7)], origin)
    with pytest.raises(
        UserError, match=r"a\.json and .*b\.json disagree about system mfcc, metric pnmi.*0\.589 and 0\.7"
    ):
        merge_results([first, second])
    with pytest.raises(UserError, match=r"c\.json: two values for system mfcc"):
        write_results(tmp_path / "c.json", [*MFCC, row("mfcc", "pnmi", 0.7)], origin)
    assert not (tmp_path / "c.json").exists()


HEAD = '{"command": "c", "commit": "d", "versions": {}, "machine": "m", "rows": '


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "missing or not JSON"),
        ('{"rows": [', "missing or not JSON"),
        ("[]", "not a result file"),
        ('{"rows": []}', "not a result file"),
        (HEAD + "[3]}", r"rows\[0\] is not a mapping"),
        (HEAD + '[{"system": "a", "value": 1, "split": "test"}]}', r"rows\[0\] has no metric"),
        (HEAD + '[{"system": "a", "metric": "wer", "split": "test"}]}', r"rows\[0\] has no number"),
        (HEAD + '[{"system": "a", "metric": "wer", "split": "test", "value": "9"}]}', r"rows\[0\] has no number"),
        (
            HEAD + '[{"system": "a", "metric": "wer", "split": "test", "value": 9, "x": [1]}]}',
            r"rows\[0\] is not flat: x",
        ),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"bad\.json: .*{said}"):
        merge_results([path])


def test_claims_become_sentences() -> None:
    results = {"rows": [*SEEDS, *MFCC]}
    verdict = Claim("hubert", "mfcc", "pnmi", 0.03).check(results)
    assert verdict.reached
    assert verdict.sentence == (
        "hubert exceeds mfcc by 0.041 PNMI on test (goal ≥ 0.03 higher: reached; means over 3 and 1 seeds)"
    )
    verdict = Claim("mfcc", "hubert", "pnmi", 0.03).check(results)
    assert not verdict.reached
    assert "mfcc is below hubert by 0.041 PNMI on test (goal ≥ 0.03 higher: missed" in verdict.sentence
    verdict = Claim("hubert", "mfcc", "abx", 3.34, lower_is_better=True).check(results)
    assert verdict.reached  # 12.34 - 9 is just the margin
    assert verdict.sentence == "hubert is below mfcc by 3.340 ABX on test (goal ≥ 3.34 lower: reached)"
    assert not Claim("hubert", "mfcc", "abx", 3.35, lower_is_better=True).check(results).reached


def test_a_claim_of_being_no_worse_than_the_spread_of_seeds() -> None:
    """Deviations 0.02 (3 seeds) and 0.01 (2 seeds), by hand: sqrt((2 * 0.02^2 + 1 * 0.01^2) / 3) = 0.01732."""

    def rows(mean: float, metric: str = "pnmi") -> list[dict[str, Any]]:
        one = [("it1", seed, 0.60 + d) for seed, d in enumerate((-0.02, 0, 0.02))]
        two = [("it2", seed, mean + d) for seed, d in enumerate((-0.01 / 2**0.5, 0.01 / 2**0.5))]
        return [{"system": s, "seed": n, "metric": metric, "split": "test", "value": v} for s, n, v in (*one, *two)]

    claim = Claim("it2", "it1", "pnmi", within_sd=True)
    verdict = claim.check({"rows": rows(0.583)})
    assert verdict.reached and verdict.sentence == (
        "it2 is below it1 by 0.017 PNMI on test (goal: not below by more than one standard deviation, 0.017: reached; "
        "means over 2 and 3 seeds)"
    )
    assert not claim.check({"rows": rows(0.582)}).reached and claim.check({"rows": rows(0.7)}).reached
    error = Claim("it2", "it1", "uer", lower_is_better=True, within_sd=True)
    assert error.check({"rows": rows(0.617, "uer")}).reached
    missed = error.check({"rows": rows(0.618, "uer")})
    assert (
        not missed.reached and "goal: not above by more than one standard deviation, 0.017: missed" in missed.sentence
    )
    with pytest.raises(UserError, match="one seed each has no standard deviation"):
        claim.check({"rows": [row for row in rows(0.6) if row["seed"] == 0]})
    with pytest.raises(ValueError, match="a claim has one of the two"):
        Claim("it2", "it1", "pnmi", 0.03, within_sd=True)


def test_a_claim_without_figures_says_which_systems_have_them() -> None:
    with pytest.raises(UserError, match=r"'hubrt' has no pnmi on test; systems that have it: hubert; mfcc"):
        Claim("hubrt", "mfcc", "pnmi").check({"rows": [*SEEDS, *MFCC]})
