"""UserError: what the person at the keyboard can mend; and how its sentence names a few of many."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(ValueError):
    """One sentence with what is wrong, where, and what to do. Command lines print it alone and exit with 2."""


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of ``names`` and how many more there are, for a sentence: "a, b, c and 4 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
