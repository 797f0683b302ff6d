"""A long text in pieces that are said one by one."""

from __future__ import annotations

import re

ENDS = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)])\s+|(?<=[。！？])|\n\s*\n")
RESTS = re.compile(r"(?<=[,;:])\s+|(?<=[，、；：])")


def sentences(text: str, longest: int = 200) -> list[str]:
    """The sentences of ``text``; those of more than ``longest`` characters at a comma or the like, else between words.

    What has neither letter nor digit is left out. A sentence ends with its mark and white space behind it, so that a number
    such as 3.5 stays whole; an abbreviation at which it is parted makes a pause and nothing worse.
    """
    pieces = [piece for sentence in ENDS.split(text) for piece in _short(" ".join(sentence.split()), longest)]
    return [piece for piece in pieces if any(c.isalnum() for c in piece)]


def _short(sentence: str, longest: int) -> list[str]:
    if len(sentence) <= longest:
        return [sentence]
    return _joined([word for part in RESTS.split(sentence) for word in _halved(part, longest)], longest)


def _halved(part: str, longest: int) -> list[str]:
    return [part] if len(part) <= longest else _joined(part.split(), longest)


def _joined(parts: list[str], longest: int) -> list[str]:
    """As few pieces of whole parts as fit."""
    out: list[str] = []
    for part in parts:
        if out and len(out[-1]) + 1 + len(part) <= longest:
            out[-1] += f" {part}"
        else:
            out.append(part)
    return out
