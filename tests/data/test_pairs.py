"""What was made, beside what was recorded: by id, with the words of the one and the voice of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut

from speechunits.data.pairs import hear, pair_up
from speechunits.data.transcripts import Transcript
from speechunits.errors import UserError


def cut(folder: Path, name: str, text: str | None = None, speaker: str | None = None, of: str | None = None) -> Cut:
    path = folder / f"{name}.wav"
    soundfile.write(path, np.full(800, 0.25), 16000)
    made = Recording.from_file(path).to_cut()
    if text or speaker:
        made.supervisions = [
            SupervisionSegment(name, name, 0, made.duration, text=text, speaker=speaker, language="en")
        ]
    if of:
        made.custom = {"original": of}
    return made


NAMES = ("recorded", "made")


@pytest.fixture
def originals(tmp_path: Path) -> list[Cut]:
    folder = tmp_path / "recorded"
    folder.mkdir()
    return [cut(folder, "a", "one", "ann"), cut(folder, "b", "two", "bob")]


def test_resynthesis(originals: list[Cut], tmp_path: Path) -> None:
    """Files that say nothing of themselves are said to say what the originals do, by their speakers."""
    pairs = pair_up(originals, [cut(tmp_path, "b"), cut(tmp_path, "a")], NAMES)
    assert [(p.made.id, p.original.id, p.speaker, p.source) for p in pairs] == [
        ("b", "b", "bob", "bob"),
        ("a", "a", "ann", "ann"),
    ]
    said = pairs[0].made.supervisions[0]
    assert (said.text, said.speaker, said.language, said.duration) == ("two", "bob", "en", 0.05)
    assert pairs[0].made.recording != pairs[0].original.recording


def test_conversion(originals: list[Cut], tmp_path: Path) -> None:
    """Several of one original, by other speakers, and words that come from elsewhere."""
    several = [cut(tmp_path, "a-b", "x", "bob", of="a"), cut(tmp_path, "a-c", None, "cy", of="a"), cut(tmp_path, "b")]
    said = {"a": Transcript("eins", language="de"), "b": Transcript("zwei", "ben", "de")}
    pairs = pair_up(originals, several, NAMES, said)
    assert [(p.original.id, p.speaker, p.source) for p in pairs] == [
        ("a", "bob", "ann"),
        ("a", "cy", "ann"),
        ("b", "ben", "ben"),
    ]
    assert [(s.text, s.language) for p in pairs for s in p.made.supervisions] == [("eins", "de")] * 2 + [("zwei", "de")]
    assert [p.original.supervisions[0].text for p in pairs] == ["eins", "eins", "zwei"]


def test_what_is_alone(originals: list[Cut], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"made: 1 of 3 have nothing of their id in recorded \(c\)"):
        pair_up(originals, [cut(tmp_path, name) for name in "abc"], NAMES)
    with pytest.raises(UserError, match=r"recorded: 1 of 2 have nothing of their id in made \(b\)"):
        pair_up(originals, [cut(tmp_path, "a")], NAMES)
    with pytest.raises(UserError, match=r"transcripts: 1 of 2 originals have none \(b\)"):
        pair_up(originals, originals, NAMES, {"a": Transcript("one")})


def test_what_cannot_be_heard(originals: list[Cut]) -> None:
    assert hear(originals[0]).tolist() == [0.25] * 800
    path = Path(originals[0].recording.sources[0].source)
    path.unlink()
    with pytest.raises(UserError, match=r"a \(.*a\.wav\): cannot be read \(.*\); make it again"):
        hear(originals[0])
    soundfile.write(path, np.full(800, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"a \(.*a\.wav\): cannot be read \(NaN or infinite samples\)"):
        hear(originals[0])
