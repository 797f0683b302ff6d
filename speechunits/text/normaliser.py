"""Normaliser: one spelling for what is said alike, so that a recogniser is not charged for a comma."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Literal

APOSTROPHES = "'’‘ʼʹ`´′"  # all become the first one
BETWEEN_DIGITS = re.compile(r"(?<!\d)[.,:]|[.,:](?!\d)")  # where they do not stand there
ACCENTS = re.compile("[\u0300-\u036f]")


class Normaliser:
    """The rules of one language: Unicode form, case, punctuation, apostrophes, diacritics, white space.

    Letters, their marks and digits stay, everything else becomes a space, but for ``.``, ``,`` and ``:`` between two digits:
    numbers are left as they are written. Applied twice, it changes nothing more.

    Args:
        case: of the letters.
        form: of Unicode; NFKC also takes wide letters, ligatures and the like for the plain ones.
        inside: punctuation that stays between two letters or digits, as in "don't". Without one "l'eau" is two words.
        diacritics: False takes the accents off Latin, Greek and Cyrillic letters (é to e, ñ to n).
        spaces: False for what is written without; those that are there go.
        replace: letters and what is written in their place once case is settled (œ: oe).

    Raises:
        ValueError: ``inside`` has a letter, a digit or a space, or ``replace`` makes what it would replace again.
    """

    def __init__(
        self,
        case: Literal["lower", "upper", "keep"] = "lower",
        form: Literal["NFC", "NFKC"] = "NFKC",
        inside: str = "'",
        diacritics: bool = True,
        spaces: bool = True,
        replace: Mapping[str, str] | None = None,
    ) -> None:
        if any(c.isalnum() or c.isspace() for c in inside):
            raise ValueError(f"inside: {inside!r} has a letter, a digit or a space; give punctuation alone")
        self.case, self.form, self.diacritics, self.spaces = case, form, diacritics, spaces
        self._plain, self._kept = _Plain(), _Kept(inside + ".,:")
        self.replace = {old: self._formed(new) for old, new in (replace or {}).items()}
        if again := [new for new in self.replace.values() if any(old in new for old in self.replace)]:
            raise ValueError(f"replace: {again[0]!r} would be replaced again; write what it becomes at once")
        x, marks = re.escape(inside), _marks()
        # marks without a letter to stand on, and what of ``inside`` has no letter on one of its sides
        self._loose = re.compile(rf"(?<=[\s{x}])[{x}{marks}]+" + (rf"|[{x}](?=[\s{x}{marks}])" if x else ""))

    def __call__(self, text: str, language: str | None = None) -> str:
        """``text`` as this language spells it, whatever ``language`` is (see ``ByLanguage``)."""
        text = self._formed(text)
        if self.case != "keep":
            text = self._formed(text.lower() if self.case == "lower" else text.upper())
        while (new := self._replaced(text)) != text:  # a mark left over may make a letter with what was put in
            text = new
        if not self.diacritics:
            text = ACCENTS.sub("", unicodedata.normalize("NFD", text))
        text = self._formed(text).translate(self._kept)
        words = self._loose.sub(" ", f" {BETWEEN_DIGITS.sub(' ', text)} ").split()
        return " ".join(words) if self.spaces else self._formed("".join(words))  # jamo side by side make a syllable

    def _replaced(self, text: str) -> str:
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return self._formed(text)

    def _formed(self, text: str) -> str:
        """In the form of Unicode, with one apostrophe and nothing invisible; some forms have other apostrophes in them."""
        return unicodedata.normalize(self.form, text.translate(self._plain)).translate(self._plain)


class _Plain(dict[int, str | None]):
    """For ``str.translate``: apostrophes become one, what only directs the display (soft hyphens, joiners) goes."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        invisible = unicodedata.category(character) == "Cf"
        self[code] = None if invisible else APOSTROPHES[0] if character in APOSTROPHES else character
        return self[code]


class _Kept(dict[int, str]):
    """For ``str.translate``: letters, marks, digits and ``also`` stay, the rest becomes a space."""

    def __init__(self, also: str) -> None:
        super().__init__({ord(c): c for c in also})

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if unicodedata.category(chr(code))[0] in "LMN" else " "
        return self[code]


@cache
def _marks() -> str:
    """Every combining mark of Unicode, as ranges of a character class."""
    codes = [c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c))[0] == "M"]
    starts = [c for before, c in zip([-1, *codes], codes, strict=False) if c != before + 1]
    ends = [c for c, after in zip(codes, [*codes[1:], -1], strict=True) if after != c + 1]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))
