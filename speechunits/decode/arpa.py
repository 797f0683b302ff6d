"""ARPA files: n-grams with base-10 logarithms of their probabilities and back-off weights."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from speechunits import store
from speechunits.errors import UserError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
SEPARATOR = re.compile("[ \t]+")  # other white space may be part of a word
LEAST = -99.0  # how ARPA files write the logarithm of 0
Gram = tuple[str, ...]
Level = dict[Gram, tuple[float, float]]  # n-gram -> log10 of its probability, log10 of its back-off weight (0 if none)


def read_arpa(path: str | Path) -> list[Level]:
    """The n-grams of each order, unigrams first (the format of SRILM's ngram-format(5), KenLM and kaldilm); ``.gz`` too.

    No logarithm is less than -99, and weights of the longest n-grams, from which nothing backs off, are 0.

    Raises:
        UserError: it is no ARPA file, is cut off, or has another number of n-grams than it says.
    """
    try:
        lines = _numbered(path)
        said = _counts(path, lines)
        ends = [*(f"\\{order}-grams:" for order in range(2, len(said) + 1)), "\\end\\"]
        return [_level(path, lines, order, *each) for order, each in enumerate(zip(said, ends, strict=True), 1)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); give an ARPA file, as plain text or whole as .gz"
        ) from error


def _numbered(path: str | Path) -> Iterator[tuple[int, str]]:
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line := line.strip(" \t\n"):
                yield number, line


def _counts(path: str | Path, lines: Iterator[tuple[int, str]]) -> list[int]:
    """What ``\\data\\`` says, up to and with the line ``\\1-grams:``; text before it is a comment."""
    counts: list[int] = []
    if not any(line == "\\data\\" for _, line in lines):
        raise UserError(
            f"{path}: no ARPA file (it has no line \\data\\); give one that fit_ngram, KenLM or SRILM wrote"
        )
    for number, line in lines:
        if counts and line == "\\1-grams:":
            return counts
        name, _, value = line.partition("=")
        if name.split() != ["ngram", str(len(counts) + 1)] or not value.strip().isdigit():
            raise UserError(
                f"{path}:{number}: '{line[:40]}' is not 'ngram {len(counts) + 1}=COUNT'; write the file again"
            )
        counts.append(int(value))
    raise UserError(f"{path}: ends before \\1-grams:; write the file again")


def _level(path: str | Path, lines: Iterator[tuple[int, str]], order: int, count: int, end: str) -> Level:
    level: Level = {}
    for number, line in lines:
        if line.startswith("\\"):
            if len(level) != count:
                raise UserError(
                    f"{path}:{number}: {len(level)} {order}-grams, and its head says {count}; write it again"
                )
            if line != end:
                raise UserError(f"{path}:{number}: '{line[:40]}' where {end} should stand; write the file again")
            return level
        entry = SEPARATOR.split(line)
        try:
            numbers = [float(entry[0]), *map(float, entry[order + 1 :])]
        except ValueError:
            numbers = []
        whole = len(numbers) in (1, 2) and len(entry) == order + len(numbers)
        if not whole or not numbers[0] <= 0 or not all(number < math.inf for number in numbers):
            raise UserError(
                f"{path}:{number}: '{line[:40]}' is no {order}-gram with its logarithms; write the file again"
            )
        weight = numbers[1] if len(numbers) == 2 and end != "\\end\\" else 0.0
        level[tuple(entry[1 : order + 1])] = (max(numbers[0], LEAST), max(weight, LEAST))
    raise UserError(f"{path}: ends within its {order}-grams; write the file again")


def write_arpa(path: str | Path, levels: Sequence[Level], comment: str = "") -> None:
    """Write what ``read_arpa`` reads; ``comment`` stands before it."""
    text = [comment, "\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, 1))]
    for n, level in enumerate(levels, 1):
        text += ["", f"\\{n}-grams:"]
        for gram, (value, weight) in sorted(level.items()):
            text.append(f"{value:.9g}\t{' '.join(gram)}" + (f"\t{weight:.9g}" if weight else ""))
    store.write_text(path, "\n".join([*text, "", "\\end\\", ""]))
