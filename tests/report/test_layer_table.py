"""The table of layers, the choice of each measure, the heat map of CKA, and their place in the report."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from speechunits.report.canvas import colours, looking
from speechunits.report.layer_table import as_text, by_candidate, choices, decisions, layer_table
from speechunits.report.results import summarise
from speechunits.report.sections import layers_section
from speechunits.report.similarity import cka_matrix, similarity_map
from tests.report.test_pictures import overlapping, pixels

VALUES = {  # pnmi of two seeds, ABX, CCA of phones, rank
    "layer:1": (0.4, 0.5, 9.0, 0.30, 50.0),
    "layer:2": (0.6, 0.6, 8.0, 0.31, 60.0),
    "layer:3": (0.5, 0.5, 8.0, 0.32, 70.0),
}


def rows() -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for candidate, (first, second, abx, cca, rank) in VALUES.items():
        about = {"system": "net", "split": "valid", "candidate": candidate, "layer": int(candidate[-1])}
        out += [{**about, "metric": "pnmi", "seed": s, "value": v} for s, v in enumerate((first, second))]
        out += [{**about, "metric": "abx_across", "seed": 0, "value": abx}]
        out += [{**about, "metric": m, "value": v} for m, v in (("cca_phone", cca), ("effective_rank", rank))]
        out += [{**about, "metric": "unit_run", "value": 2.0}, {**about, "metric": "cca_word", "value": None}]
    out += [{"system": "mfcc", "split": "valid", "candidate": "clean", "metric": "pnmi", "value": 0.3}]
    places = [("net", c) for c in VALUES] + [("mfcc", "clean")]
    for i, (system, candidate) in enumerate(places):
        for j, (other, beside) in enumerate(places[i + 1 :], i + 1):
            about = {"system": system, "split": "valid", "candidate": candidate, "metric": "cka"}
            out.append({**about, "other_system": other, "other_candidate": beside, "value": 1 / (1 + j - i)})
    return out


def test_each_measure_chooses_and_equals_do_not() -> None:
    figures = by_candidate(rows(), "valid")
    assert figures["net"]["layer:1"] == pytest.approx(
        {"pnmi": 0.45, "abx_across": 9.0, "cca_phone": 0.3, "effective_rank": 50.0}
    )
    assert choices(figures["net"]) == {"pnmi": "layer:2", "cca_phone": "layer:3"}, "two layers share the least ABX"
    assert choices(figures["mfcc"]) == {}
    assert decisions(figures) == ["net: cluster layer:2 (chosen by pnmi); it would be layer:3 by cca_phone"]
    agreed = {"net": {"a": {"pnmi": 0.1, "cca_word": 0.2}, "b": {"pnmi": 0.3, "cca_word": 0.4}}}
    assert decisions(agreed) == ["net: cluster b (chosen by pnmi, cca_word); no measure would choose another"]
    assert by_candidate(rows(), "test") == {} and decisions({}) == []


def test_the_table_marks_the_best() -> None:
    head, lines = layer_table(by_candidate(rows(), "valid"))
    assert head == ["system and place", "pnmi", "abx_across", "cca_phone", "effective_rank"]
    assert lines[1] == ["net layer:2", "0.600*", "8.000", "0.310", "60.000"]
    assert lines[3] == ["mfcc clean", "0.300", "–", "–", "–"]
    text = as_text(head, lines).splitlines()
    assert len({len(line) for line in text}) == 1 and text[2].startswith("net layer:2 ")


def test_cka_is_a_symmetric_map() -> None:
    places, matrix = cka_matrix(rows(), "valid")
    assert places == [("net", "layer:1"), ("net", "layer:2"), ("net", "layer:3"), ("mfcc", "clean")]
    assert matrix[0].tolist() == [1, 1 / 2, 1 / 3, 1 / 4] and np.array_equal(matrix, matrix.T)
    pixels(similarity_map(rows(), "valid"))
    many = [("hubert_base_second_iteration", f"layer:{n}") for n in range(26)]
    pairs = [
        {
            "system": a,
            "candidate": c,
            "other_system": b,
            "other_candidate": d,
            "metric": "cka",
            "split": "valid",
            "value": 0.5,
        }
        for (a, c), (b, d) in combinations(many, 2)
    ]
    with looking():
        for shown in (rows(), pairs):
            assert overlapping(similarity_map.__wrapped__(shown, "valid")) == []
    with pytest.raises(ValueError, match="no CKA on test"):
        similarity_map(rows(), "test")


def test_the_section_has_choice_table_and_pictures() -> None:
    body = layers_section({"rows": rows()}, colours(["net", "mfcc"])).body
    assert "net: cluster layer:2" in body and "0.600*" in body and "Linear CKA on valid" in body
    assert body.count("<img") == 2
    without = [row for row in rows() if row["metric"] == "pnmi"]
    assert layers_section({"rows": without}, colours(["net", "mfcc"])).body.count("<img") == 1


def test_figures_of_two_systems_are_in_no_table_of_systems() -> None:
    assert all("cka" not in cells for cells in summarise(rows(), "valid").values())
