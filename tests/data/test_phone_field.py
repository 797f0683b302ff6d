from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem

from speechunits.data.cuts import open_cuts
from speechunits.data.fields import PhoneField
from speechunits.data.symbol_table import collect_symbols, read_symbols, write_symbols
from speechunits.errors import UserError

Corpus = Callable[..., Path]


def aligned(cut: Cut, *items: tuple[str, float, float]) -> Cut:
    cut.supervisions[0].alignment = {"phone": [AlignmentItem(s, start, end - start) for s, start, end in items]}
    return cut


def phones(cut: Cut, symbols: list[str], folder: Path, **how: str) -> list[int]:
    write_symbols(folder / "phones.json", symbols)
    return PhoneField(str(folder / "phones.json"), **how).bind([cut]).load(cut).tolist()  # type: ignore[arg-type]


def test_label_is_the_phone_at_the_centre_of_the_window(corpus: Corpus, tmp_path: Path):
    """0.1 s holds frames [0, 25], [20, 45], [40, 65], [60, 85] ms, centres 12.5, 32.5, 52.5, 72.5 ms."""
    cut = aligned(open_cuts(corpus([0.1]))[0], ("a", 0.0, 0.0325), ("b", 0.0325, 0.06), ("a", 0.08, 0.1))
    assert phones(cut, ["a", "b"], tmp_path) == [0, 1, 1, -1]
    # 40 ms windows: centres 20, 40, 60, 80 ms
    assert phones(cut, ["a", "b"], tmp_path, window="1/25") == [0, 1, -1, 0]
    # 10 ms hop: 8 frames, centres 12.5, 22.5 ... 82.5 ms
    assert phones(cut, ["a", "b"], tmp_path, hop="1/100") == [0, 0, 1, 1, 1, -1, -1, 0]


def test_frames_are_as_many_as_a_convolution_gives(corpus: Corpus, tmp_path: Path):
    """400 samples at a stride of 320: floor((S - 400) / 320) + 1, and none below 400."""
    for cut in open_cuts(corpus([0.02, 0.025, 0.0449375, 0.045, 1.0])):
        samples = round(cut.duration * 16000)
        expected = max(0, (samples - 400) // 320 + 1)
        assert len(phones(aligned(cut, ("a", 0, 1)), ["a"], tmp_path)) == expected


def test_a_truncated_cut_keeps_its_phones(corpus: Corpus, tmp_path: Path):
    cut = aligned(open_cuts(corpus([0.2]))[0], *((f"{i}", i * 0.02, i * 0.02 + 0.02) for i in range(10)))
    symbols = [f"{i}" for i in range(10)]
    whole = phones(cut, symbols, tmp_path)
    assert whole == list(range(9))
    assert phones(cut.truncate(offset=0.06, duration=0.1), symbols, tmp_path) == whole[3:7]


def test_symbols_are_collected_and_kept(corpus: Corpus, tmp_path: Path):
    cuts = [aligned(c, ("ʃ", 0, 0.1), (s, 0.1, 0.2)) for c, s in zip(open_cuts(corpus([0.2, 0.2])), "ba", strict=True)]
    write_symbols(tmp_path / "sub" / "phones.json", collect_symbols(cuts))
    assert read_symbols(tmp_path / "sub" / "phones.json") == ["a", "b", "ʃ"]
    bound = PhoneField(str(tmp_path / "sub" / "phones.json")).bind(cuts)  # type: ignore[arg-type]
    assert bound.stream is not None and bound.stream.vocab == (3,)
    write_symbols(tmp_path / "other.json", ["a", "b", "c"])
    other = PhoneField(str(tmp_path / "other.json")).bind(cuts)  # type: ignore[arg-type]
    assert other.stream is not None and other.stream.fingerprint != bound.stream.fingerprint


def test_mistakes(corpus: Corpus, tmp_path: Path):
    cut = open_cuts(corpus([0.2]))[0]
    with pytest.raises(UserError, match="the cut a0 has no phone alignment"):
        phones(cut, ["a"], tmp_path)
    with pytest.raises(UserError, match="no cut has a phone alignment"):
        collect_symbols([cut])
    with pytest.raises(UserError, match=r"the phone 'z' of the cut a0 is not in .*phones.json"):
        phones(aligned(cut, ("z", 0, 1)), ["a"], tmp_path)
    for text in ("{}", "[]", '["a", "a"]', "[1]", "phones"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match=r"bad.json is not"):
            read_symbols(tmp_path / "bad.json")
    with pytest.raises(UserError, match=r"none.json does not exist"):
        read_symbols(tmp_path / "none.json")


def test_real_alignment(corpora: Path, tmp_path: Path):
    """CMU ARCTIC slt a0009 against its HTS label file, read here by hand."""
    folder = corpora / "phone_aligned" / "arctic_slt"
    rows = [line.split() for line in (folder / "arctic_a0009_phone.lab").read_text().splitlines()]
    items = [(r[2].split("-")[1].split("+")[0], int(r[0]) / 1e7, int(r[1]) / 1e7) for r in rows]
    recording = Recording.from_file(folder / "arctic_a0009.wav")
    cut = recording.to_cut()
    cut.supervisions = [SupervisionSegment("s", recording.id, 0, cut.duration)]
    symbols = sorted({s for s, _, _ in items})
    labels = phones(aligned(cut, *items), symbols, tmp_path)
    assert len(labels) == (soundfile.info(folder / "arctic_a0009.wav").frames - 400) // 320 + 1
    for t, label in enumerate(labels):
        centre = t * 0.02 + 0.0125
        assert [s for s, start, end in items if start <= centre < end] == ([symbols[label]] if label >= 0 else [])
