"""Transcripts of any origin: manifests of cuts, JSON lines, Kaldi's ``text``, sclite's ``trn``."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lhotse.cut import Cut

from speechunits.data.cuts import open_cuts
from speechunits.data.fields.text_field import TextField
from speechunits.errors import UserError


class Transcript(NamedTuple):
    """What was said, by whom and in which language ("" = unknown)."""

    text: str
    speaker: str = ""
    language: str = ""


def voice(cut: Cut) -> tuple[str, str]:
    """Speaker and language of a cut, "" where its supervisions do not agree on one."""
    labels = [{str(value) for value in values if value} for values in zip(*_labels(cut), strict=True)]
    speaker, language = (found.pop() if len(found) == 1 else "" for found in labels or [set(), set()])
    return speaker, language


def spoken_text(cut: Cut) -> str:
    """The words of all supervisions, "" where there are none."""
    return " ".join(s.text for s in sorted(cut.supervisions, key=lambda s: s.start) if s.text)


def spoken(cut: Cut) -> list[tuple[str, float]]:
    """The words of the cut's alignments with their middles in seconds from its beginning; none where it has no alignments.

    What an alignment holds as one item of several words ("in the") shares its time out evenly.
    """
    out = []
    for item in (x for s in cut.supervisions for x in (s.alignment or {}).get("word", ())):
        said = item.symbol.split()
        out += [(word, item.start + item.duration * (i + 0.5) / len(said)) for i, word in enumerate(said)]
    return out


def _labels(cut: Cut) -> list[tuple[Any, Any]]:
    return [(s.speaker, s.language) for s in cut.supervisions]


def read_transcripts(path: str | Path, keys: Sequence[str] = ("text",)) -> dict[str, Transcript]:
    """Id -> transcript.

    Args:
        path: a manifest of cuts (``.jsonl``, ``.jsonl.gz``, a Shar folder); JSON lines with ``id``, one of ``keys`` and maybe
            ``speaker`` and ``language``; ``.trn`` with lines ``words (id)``; any other file has lines ``id words``.
        keys: where the text of JSON lines is, the first one that is there.

    Raises:
        UserError: the file is missing, empty or not of its kind, or an id comes twice.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: does not exist; correct the path, or run the stage that writes it")
    found: dict[str, Transcript] = {}
    for name, transcript in _items(path, keys):
        if name in found:
            raise UserError(f"{path}: the id {name} comes twice; give every utterance its own")
        found[name] = transcript
    if not found:
        raise UserError(f"{path}: is empty; run the stage that writes it again")
    return found


def _items(path: Path, keys: Sequence[str]) -> Iterator[tuple[str, Transcript]]:
    if path.is_dir() or _holds_cuts(path):
        field = TextField()
        for cut in open_cuts(path):
            yield cut.id, Transcript(field.text(cut), *voice(cut))
        return
    for number, line in enumerate(_lines(path), 1):
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            yield _object(line, f"{path}, line {number}", keys)
        elif path.suffix == ".trn":
            match = re.fullmatch(r"(.*)\(([^()]+)\)", line)
            if match is None:
                raise UserError(f"{path}, line {number}: does not end with an id in parentheses; correct the file")
            yield match[2].strip(), Transcript(match[1].strip())
        else:
            name, _, text = line.partition(" ") if "\t" not in line else line.partition("\t")
            yield name, Transcript(text.strip())


def _holds_cuts(path: Path) -> bool:
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        return False
    try:
        first = json.loads(next(_lines(path), "{}"))
    except ValueError:
        return False
    return isinstance(first, dict) and "supervisions" in first


def _lines(path: Path) -> Iterator[str]:
    """Those that are not blank, without the white space around them."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            yield from (line.strip() for line in file if line.strip())
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error}); write it again") from error


def _object(line: str, place: str, keys: Sequence[str]) -> tuple[str, Transcript]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: is not JSON ({error}); write the file again") from error
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise UserError(f"{place}: has no id; each line needs id and {' or '.join(keys)}")
    text = next((found[key] for key in keys if key in found), None)
    if not isinstance(text, str):
        raise UserError(f"{place}: {found['id']} has no {' or '.join(keys)}; each line needs id and text")
    return found["id"], Transcript(text, found.get("speaker") or "", found.get("language") or "")
