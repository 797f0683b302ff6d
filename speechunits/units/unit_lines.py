"""Units as lines of JSON: what ``speechunits encode`` writes and ``speechunits decode`` reads, one utterance a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.seq import pad
from speechunits.units.units import Units


@dataclass(frozen=True)
class UnitLine:
    """Units of one utterance.

    Args:
        place: file and line, for what is said of them.
        audio: of which file they were made; "" of none.
        ids: (N, K) int64.
        durations: (N,) int64 frames of each; None where each is one frame, or where nobody says.
        hop: seconds per frame; None of merged units whose durations nobody says.
        vocab: codes per codebook.
        fingerprint: of the tokenizer.
    """

    place: str
    audio: str
    ids: Tensor
    durations: Tensor | None
    hop: Fraction | None
    vocab: tuple[int, ...]
    fingerprint: str

    @property
    def kind(self) -> tuple[Any, ...]:
        """What lines of one batch share."""
        return self.durations is None, str(self.hop), self.vocab, self.fingerprint


def write_line(audio: str, units: Units) -> str:
    """The only utterance of ``units`` as a line without its end."""
    line: dict[str, Any] = {"audio": audio, "units": units.lists()[0]}
    if units.durations is not None:
        line["durations"] = units.durations.data[0, : units.durations.lengths[0]].tolist()
    hop = units.ids.hop or (units.durations.hop if units.durations is not None else None)
    line |= {"hop": None if hop is None else str(hop), "vocab": list(units.vocab), "fingerprint": units.fingerprint}
    return json.dumps(line)


def read_lines(path: str | Path) -> list[UnitLine]:
    """All lines of a file.

    Raises:
        UserError: the file is missing or empty, or a line is not what ``write_line`` writes; it is named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UserError(f"{path}: cannot be read ({why}); give the lines that speechunits encode writes") from error
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            lines.append(_read(json.loads(line), place))
        except (ValueError, TypeError, KeyError, ArithmeticError, RuntimeError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else error
            raise UserError(f"{place}: {why}; give the lines that speechunits encode writes") from error
    if not lines:
        raise UserError(f"{path}: has no line; give the lines that speechunits encode writes")
    return lines


def _read(line: Any, place: str) -> UnitLine:
    if not isinstance(line, dict):
        raise ValueError("no JSON object")
    vocab, hop, durations = tuple(_whole(line["vocab"])), line.get("hop"), None
    rows = [_whole(row if isinstance(row, list) else [row]) for row in line["units"]]
    if any(len(row) != len(vocab) for row in rows):
        raise ValueError(f"a unit is to have {len(vocab)} ids, one of each codebook")
    if "durations" in line:
        durations = torch.tensor(_whole(line["durations"]), dtype=torch.int64)
        if len(durations) != len(rows) or bool((durations < 1).any()):
            raise ValueError("durations are to be one number above 0 for each unit")
    return UnitLine(
        place=place,
        audio=str(line.get("audio") or ""),
        ids=torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(vocab)),
        durations=durations,
        hop=None if hop is None else Fraction(hop),
        vocab=vocab,
        fingerprint=str(line["fingerprint"]),
    )


def _whole(found: Any) -> list[int]:
    if not isinstance(found, list) or any(type(x) is not int for x in found):
        raise ValueError("units, durations and vocab are to be lists of whole numbers")
    return found


def joined(lines: Sequence[UnitLine]) -> Units:
    """Lines of one ``kind`` as a batch."""
    first = lines[0]
    durations = [line.durations for line in lines if line.durations is not None]
    ids = pad([line.ids for line in lines], None if durations else first.hop)
    return Units(ids, first.vocab, first.fingerprint, pad(durations, first.hop) if durations else None)
