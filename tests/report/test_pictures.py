"""Pictures: what they are computed from, that they are PNGs of sensible size, and that nothing overlaps."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from speechunits.errors import UserError
from speechunits.report.canvas import PALETTE, colours, looking
from speechunits.report.curves import training_curves
from speechunits.report.heat_map import staircase, unit_phone_map
from speechunits.report.layers import by_layer, layered, metrics_by_layer
from speechunits.report.tiers import Piece, runs, spectrogram_with_tiers, spectrum
from speechunits.report.training_table import curve, read_training_table
from speechunits.report.usage import codebook_usage, perplexity

# the phones of eSpeak's English: letters of a dozen Unicode blocks
ENGLISH = [*"bdfhijklmnpstvwzæðŋɐɔəɚɛɡɪɹɾʃʊʌʒʔθᵻ", *("aɪ", "aʊ", "dʒ", "eɪ", "iː", "n̩", "oʊ", "oː", "sil", "tʃ", "ɑː")]
SYSTEMS = ("mfcc", "random", "hubert_it1", "hubert_it2")


@pytest.fixture(autouse=True)
def no_missing_letters() -> Any:
    """A font without a letter only warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) in [0, 1]; neither empty nor one colour."""
    image = matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]
    assert 200 <= image.shape[0] <= 3000 and 400 <= image.shape[1] <= 5000
    assert image.std() > 0.02
    return image


def has_colour(image: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return bool((np.abs(image - wanted).max(-1) < 0.02).sum() > 20)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of drawn texts that cover each other, and texts that leave the picture."""
    drawn: list[Text] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: drawn.append(text))
        figure.draw_without_rendering()  # lays out first, then draws: what layout measured is not in the list
    found = dict.fromkeys(t for t in drawn if t.get_visible() and t.get_text().strip())
    boxes = [(t.get_text(), t.get_window_extent().padded(-0.5)) for t in found]
    assert len(boxes) > 5
    inside = figure.bbox.padded(1)
    outside = [(a, "edge") for a, x in boxes if not (inside.contains(*x.min) and inside.contains(*x.max))]
    return outside + [(a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[:i] if x.overlaps(y)]


def test_overlaps_and_lost_texts_would_be_found() -> None:
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    assert overlapping(figure) == []
    axes.text(0.5, 0.5, "one")
    axes.text(0.5, 0.52, "other")
    axes.text(0.9, 0.1, "much too far to the right")
    assert overlapping(figure) == [("much too far to the right", "edge"), ("other", "one")]


def test_colours_are_different_and_follow_the_order() -> None:
    found = colours([*SYSTEMS, "mfcc"])
    assert list(found) == list(SYSTEMS) and list(found.values()) == list(PALETTE[:4])
    assert len(set(PALETTE)) == len(PALETTE)


def test_training_figures_are_read_by_stage_objective_and_term(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,train/loss,train/units/accuracy,train/units/unmasked_accuracy,valid/units/accuracy\n"
        "10,2.5,0.1,0.9,\n20,nan,0.2,0.9,0.3\n"
    )
    table = read_training_table(tmp_path)
    assert {k: [v.tolist() for v in xy] for k, xy in curve(table, "train", "accuracy").items()} == {
        "units": [[10, 20], [0.1, 0.2]]
    }
    assert {k: [v.tolist() for v in xy] for k, xy in curve(table, "valid", "accuracy").items()} == {
        "units": [[20], [0.3]]
    }
    assert [v.tolist() for v in curve(table, "train", "loss")[""]] == [[10], [2.5]]
    assert curve(table, "valid", "loss") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("step,train/loss\n", "no figures yet"), ("step,a\n1,two\n", "not a table of numbers")],
)
def test_a_bad_table_of_figures_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=rf"metrics\.csv: .*{said}"):
        read_training_table(tmp_path)


@pytest.mark.parametrize("log_steps", [False, True])
def test_training_curves(training_run: Callable[..., str], log_steps: bool) -> None:
    tables = {s: read_training_table(training_run(s, floor)) for s, floor in (("hubert_it1", 2.0), ("hubert_it2", 1.6))}
    image = pixels(training_curves(tables, colours(SYSTEMS), log_steps))
    assert has_colour(image, PALETTE[2]) and has_colour(image, PALETTE[3]) and not has_colour(image, PALETTE[0])
    wide = image.shape[1]
    for table in tables.values():
        for column in [c for c in table if c.endswith("accuracy")]:
            del table[column]
    assert pixels(training_curves(tables, colours(SYSTEMS))).shape[1] < wide  # one panel less
    with pytest.raises(ValueError, match="no run has a loss"):
        training_curves({"a": {"step": np.arange(3.0)}}, colours("a"))


def layer_rows() -> list[dict[str, Any]]:
    shared = {"metric": "pnmi", "split": "valid"}
    rows = [
        {
            "system": s,
            **shared,
            "layer": n,
            "seed": seed,
            "value": 0.4 + 0.03 * n * (1.3 - 0.12 * n) + 0.01 * seed + 0.04 * i,
        }
        for i, s in enumerate(SYSTEMS[2:])
        for n in range(7)
        for seed in range(3)
    ]
    rows += [{"system": "mfcc", **shared, "candidate": c, "value": v} for c, v in (("first", 0.38), ("mean", 0.36))]
    return [*rows, {"system": "random", **shared, "layer": 6, "value": 0.3}]


def test_layers_are_lines_and_single_figures_are_levels() -> None:
    rows = layer_rows()
    lines = by_layer(rows, "pnmi", "valid")
    assert {name: line.level for name, line in lines.items()} == {
        "hubert_it1": False, "hubert_it2": False, "mfcc, candidate first": True, "mfcc, candidate mean": True, "random": True
    }  # fmt: skip
    assert lines["hubert_it1"].values[2] == pytest.approx([0.4636, 0.4736, 0.4836])
    assert lines["mfcc, candidate mean"].values == {None: [0.36]} and lines["mfcc, candidate mean"].system == "mfcc"
    image = pixels(metrics_by_layer(rows, ["pnmi"], "valid", colours(SYSTEMS)))
    assert all(has_colour(image, colour) for colour in PALETTE[:4])
    with pytest.raises(ValueError, match="no figures on valid for pnmi, abx"):
        metrics_by_layer(rows, ["pnmi", "abx"], "valid", colours(SYSTEMS))


def test_only_metrics_that_change_with_the_layer_are_shown() -> None:
    rows = layer_rows()
    same = [{**r, "metric": "phone_run", "value": 4.0} for r in rows]
    chosen = [{**rows[0], "split": "test", "layer": 3 + s, "seed": s, "value": s / 3} for s in (0, 1)]
    assert layered([*rows, *same, *chosen], "valid") == ["pnmi"]
    assert layered([*rows, *chosen], "test") == []  # each seed's own choice of layer is no curve


def test_the_heat_map_is_a_staircase() -> None:
    counts = np.array([[0, 2, 0, 1, 0], [9, 0, 0, 2, 0], [0, 0, 0, 0, 0], [1, 2, 0, 0, 4]])
    # phones by frequency: 1 (11 frames), 3 (7), 0 (3). Units: 0 is phone 1 at 0.9, 3 is phone 1 at 2/3, 4 is phone 3
    # at 1, 1 is phone 3 at 1/2 (the more frequent phone of two equals); unit 2 never occurs.
    phones, units = staircase(counts)
    assert phones.tolist() == [1, 3, 0] and units.tolist() == [0, 3, 4, 1]
    pixels(unit_phone_map(counts, ["a", "b", "c", "d"], "mfcc"))
    with pytest.raises(ValueError, match="no frame"):
        unit_phone_map(counts * 0, ["a", "b", "c", "d"])


def test_the_heat_map_holds_a_real_set_of_phones() -> None:
    counts = np.random.default_rng(0).dirichlet(np.full(len(ENGLISH), 0.05), 500).T * 300
    image = pixels(unit_phone_map(counts.astype(int), ENGLISH))
    assert image.shape[0] > 900  # 46 lines of text


def test_usage() -> None:
    assert perplexity(np.array([5, 5, 0, 5, 5])) == pytest.approx(4)
    assert perplexity(np.array([7, 0])) == pytest.approx(1)
    counts = {"mfcc": np.array([80, 20, 0, 5]), "hubert_it1": np.random.default_rng(0).integers(1, 99, 100)}
    image = pixels(codebook_usage(counts, colours(SYSTEMS)))
    assert has_colour(image, PALETTE[0]) and has_colour(image, PALETTE[2])
    with pytest.raises(ValueError, match="mfcc has no frames"):
        codebook_usage({"mfcc": np.zeros(4)}, colours(SYSTEMS))


def test_runs_of_codes() -> None:
    assert runs(np.array([5, 5, 2, 5]), 0.02) == [
        Piece("5", 0.0, 0.04),
        Piece("2", pytest.approx(0.04), pytest.approx(0.06)),
        Piece("5", pytest.approx(0.06), pytest.approx(0.08)),
    ]
    assert [p.label for p in runs(np.array([[1, 7], [1, 7], [1, 8]]), 0.02)] == ["1.7", "1.8"]
    assert runs(np.zeros((0, 1), int), 0.02) == []


def test_the_spectrogram_shows_a_tone_where_it_is() -> None:
    t = np.arange(16000) / 16000
    power = spectrum(np.sin(2 * np.pi * 1000 * t) * (t < 0.5), 16000)
    assert power.shape[0] == 257 and power.max() == 0 and power.min() == -70
    assert power[:, 50].argmax() == 32  # 1000 Hz of bins of 31.25 Hz, at 0.25 s
    assert power[:, 150].max() == -70  # silence at 0.75 s


@pytest.mark.parametrize("seconds", [0.4, 3.0])
def test_tiers_are_readable(seconds: float) -> None:
    random = np.random.default_rng(0)
    codes = {
        s: np.repeat(random.integers(0, 500, 999), random.integers(1, 9, 999))[: int(seconds * 50)] for s in SYSTEMS
    }
    phones = [
        Piece(name, a, a + 0.07) for name, a in zip(["əʊ", "tʃ", "sil"] * 30, np.arange(0, seconds, 0.07), strict=False)
    ]
    arguments = (
        random.standard_normal(int(seconds * 16000)) * 0.1, 16000, phones,
        {s: runs(c, 0.02) for s, c in codes.items()}, colours(SYSTEMS),
    )  # fmt: skip
    image = pixels(spectrogram_with_tiers(*arguments))
    with looking():
        assert overlapping(spectrogram_with_tiers.__wrapped__(*arguments)) == []
    without = spectrogram_with_tiers(arguments[0], 16000, [], arguments[3], arguments[4])
    assert pixels(without).shape[0] < image.shape[0]


def test_no_text_of_the_other_pictures_overlaps(training_run: Callable[..., str]) -> None:
    shades = colours(SYSTEMS)
    tables = {s: read_training_table(training_run(s)) for s in SYSTEMS}
    counts = np.random.default_rng(0).integers(0, 9, (45, 100))
    three = [{**r, "metric": m} for m in ("pnmi", "abx", "phone_purity") for r in layer_rows()]
    with looking():
        for figure in (
            training_curves.__wrapped__(tables, shades),
            training_curves.__wrapped__(tables, shades, True),
            metrics_by_layer.__wrapped__(layer_rows(), ["pnmi"], "valid", shades),
            metrics_by_layer.__wrapped__(three, ["pnmi", "abx", "phone_purity"], "valid", shades),
            unit_phone_map.__wrapped__(counts, [f"p{i}ː" for i in range(45)], "hubert_it1"),
            codebook_usage.__wrapped__(dict.fromkeys(SYSTEMS, counts[0]), shades),
        ):
            assert overlapping(figure) == []
