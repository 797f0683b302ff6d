"""Transcriber: audio of any length to words with times, one window in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from speechunits.decode.words import Word, words
from speechunits.errors import UserError
from speechunits.protocols import Batch, Recognises
from speechunits.seq import Seq


class Transcriber:
    """Recognises overlapping windows one by one and joins them where, in the overlap, neither hears a word.

    No detector of speech decides where to cut: the longest pause that both windows leave in their overlap does, or its
    middle where there is none. Of each window only what lies on its side of the seam is kept.

    Args:
        model: a recogniser whose search says which frames each symbol has (CTC, transducer, attention beside CTC).
        listen: a waveform (1, S) -> what the model reads (``Listening``).
    """

    def __init__(self, model: Recognises, listen: Callable[[Seq], Batch]) -> None:
        self.model, self.listen = model, listen

    def heard(self, audio: Seq) -> list[Word] | None:
        """The words of one window (1, S), in seconds from its beginning; None where it is too short for a frame."""
        batch = self.listen(audio)
        if not int(self.model.lengths(batch).min()):
            return None
        with torch.inference_mode():
            found = self.model.predict(batch)["hypotheses"][0][0]
            edges = self.model.edges(batch)
        if found.spans is None or edges is None:
            end = audio.data.size(1) * float(audio.hop)  # type: ignore[arg-type]
            return [Word(w, None, end, None) for w in self.model.text.decode(found.ids).split()]
        return words(found, self.model.text.decode, edges[0].cpu())

    def __call__(self, windows: Iterable[tuple[float, Seq, bool]]) -> Iterator[Word]:
        """Words in order, each as soon as no later window can change it.

        Args:
            windows: (start in seconds, samples (1, S), whether it is the last), as ``data.audio_windows`` gives them.

        Raises:
            UserError: there are several windows, and the search says no times; or one, and it is too short for a frame.
        """
        kept: list[Word] = []
        end = at = 0.0
        for start, audio, last in windows:
            heard, alone = self.heard(audio), start == 0 and last
            if heard is None and alone:
                raise UserError("too short for one frame; leave it out")
            new = [moved(word, start) for word in heard or ()]
            if any(word.start is None for word in new) and not alone:
                raise UserError(
                    "the search gives no times of words, so windows cannot be joined; choose one of a CTC or transducer head, "
                    "or a window longer than the audio"
                )
            if start > 0:
                at = seam(kept, new, max(start, at), end)  # what lies before the last seam has been said
                kept = [word for word in kept if centre(word) < at]
                new = [word for word in new if centre(word) >= at]
            end = start + audio.data.size(1) * float(audio.hop)  # type: ignore[arg-type]
            yield from kept
            kept = new
        yield from kept


def moved(word: Word, seconds: float) -> Word:
    """``word`` so much later."""
    if word.start is None or word.end is None:
        return word
    return Word(word.text, word.start + seconds, word.end + seconds, word.confidence)


def centre(word: Word) -> float:
    assert word.start is not None and word.end is not None
    return (word.start + word.end) / 2


def seam(before: Sequence[Word], after: Sequence[Word], start: float, end: float) -> float:
    """The middle of the longest pause between ``start`` and ``end`` in which no word of either is under way; of pauses equally
    long the one nearest to the middle, which also stands in where there is none. The first and the last second of the overlap
    count only where nothing else is silent: at its edge a window has heard half a word.
    """
    middle = (start + end) / 2
    margin = min(1.0, (end - start) / 4)
    busy = sorted((w.start, w.end) for w in [*before, *after] if w.start is not None and w.end is not None)
    for low, high in ((start + margin, end - margin), (start, end)):
        reached, pauses = low, []
        for a, b in [*((a, b) for a, b in busy if b > low and a < high), (high, high)]:
            if a > reached:
                pauses.append((reached, a))
            reached = max(reached, b)
        if pauses:
            longest = max(pauses, key=lambda p: (round(p[1] - p[0], 3), -abs(sum(p) / 2 - middle)))
            return sum(longest) / 2
    return middle
