"""Symbol tables of alignments: a JSON list, ids are places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from lhotse.cut import Cut

from speechunits.errors import UserError
from speechunits.store import write_text


def collect_symbols(cuts: Iterable[Cut], alignment: str = "phone") -> list[str]:
    """All symbols of one alignment of the cuts, sorted.

    Raises:
        UserError: no cut has that alignment.
    """
    found = {i.symbol for cut in cuts for s in cut.supervisions for i in (s.alignment or {}).get(alignment, ())}
    if not found:
        raise UserError(f"no cut has a {alignment} alignment; align the corpus first")
    return sorted(found)


def write_symbols(path: str | Path, symbols: Sequence[str]) -> None:
    write_text(path, json.dumps(list(symbols), ensure_ascii=False) + "\n")


def read_symbols(path: str | Path) -> list[str]:
    """The symbols of a table.

    Raises:
        UserError: the file is missing or not a JSON list of different strings.
    """
    try:
        names = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"the symbol table {path} does not exist; write it from the training manifest") from None
    except ValueError as error:
        raise UserError(f"the symbol table {path} is not JSON ({error}); write it again") from error
    if (
        not isinstance(names, list)
        or not all(isinstance(n, str) for n in names)
        or len(set(names)) < len(names)
        or not names
    ):
        raise UserError(f"the symbol table {path} is not a list of different strings; write it again")
    return names


def symbols_fingerprint(symbols: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(symbols), ensure_ascii=False).encode()).hexdigest()[:16]
