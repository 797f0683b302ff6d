"""How far words are written from where they were said."""

from __future__ import annotations

from collections.abc import Sequence

from speechunits.metrics.alignment import align


def time_errors(said: Sequence[tuple[str, float]], heard: Sequence[tuple[str, float]]) -> list[float]:
    """Seconds between the middles of each word said and of the same word heard, in the alignment that WER counts; a word that
    is wrong has none.

    Args:
        said, heard: words of one utterance with their middles in seconds.
    """
    out, i, j = [], 0, 0
    for word, found in align([word for word, _ in said], [word for word, _ in heard]):
        if word is not None and word == found:
            out.append(abs(heard[j][1] - said[i][1]))
        i, j = i + (word is not None), j + (found is not None)
    return out
