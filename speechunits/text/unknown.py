"""What every text tokenizer says of text that it has no symbols for."""

from __future__ import annotations

from collections.abc import Iterable

from speechunits.errors import UserError


def unknown(strange: Iterable[str], text: str, symbols: int, fingerprint: str) -> UserError:
    """The error to raise: which symbols, of which text, are not among those of which tokenizer."""
    return UserError(
        f"{', '.join(map(repr, sorted(strange)[:5]))} of {text[:60]!r} not among the {symbols} symbols of the text "
        f"tokenizer {fingerprint}; fit the tokenizer on text that has it, or clean the transcripts"
    )
