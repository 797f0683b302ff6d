"""The transducers that a word graph is composed of: lexicon, grammar, and alignments of frames.

Labels: symbol i reads and writes i + 1, so that 0 is nothing; the blank is V + 1; word j is j + 1. Marks are labels that
keep what reads alike apart until graphs are determinized: ``marks(V)[0]`` is the grammar's back-off, the others part words
of one pronunciation and those that begin another (Mohri, Pereira and Riley 2002, doi 10.1006/csla.2001.0184, section 4.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from speechunits.decode import kaldi
from speechunits.decode.arpa import BEGIN, END
from speechunits.decode.backoff_model import NEVER, BackoffModel
from speechunits.text.lexicon import Lexicon


def marked(lexicon: Lexicon) -> list[tuple[int, tuple[int, ...], int]]:
    """(number of the word, pronunciation, mark) of every entry; mark 0 where none is needed."""
    entries = [(number, way) for number, ways in enumerate(lexicon.words.values()) for way in ways]
    often = Counter(way for _, way in entries)
    begins = {way[:length] for way in often for length in range(1, len(way))}
    used: Counter[tuple[int, ...]] = Counter()
    out = []
    for number, way in entries:
        used[way] += often[way] > 1 or way in begins
        out.append((number, way, used[way]))
    return out


def lexicon_transducer(lexicon: Lexicon) -> tuple[Any, list[int]]:
    """L: symbols and marks to words; and the marks, the first one the back-off's.

    State 0 is the start, 1 behind a word, 2 before one, 3 behind the last silence. Back-off is taken in 0 and 1.
    """
    first = len(lexicon.names) + 2
    back_off = (first, len(lexicon.words) + 1)
    arcs = [(0, 2, 0, 0, 0.0), *((state, state, *back_off, 0.0) for state in (0, 1))]
    arcs.append((1, 2, 0 if lexicon.between is None else lexicon.between + 1, 0, 0.0))
    if lexicon.silence is not None:
        arcs += [(a, b, lexicon.silence + 1, 0, 0.0) for a, b in ((0, 2), (0, 3), (1, 2), (1, 3))]
    state, last = 4, 0
    for number, way, mark in marked(lexicon):
        labels = [i + 1 for i in way] + ([first + mark] if mark else [])
        states = [2, *range(state, state + len(labels) - 1), 1]
        state, last = state + len(labels) - 1, max(last, mark)
        words = [number + 1, *(0 for _ in labels[1:])]
        arcs += [(*step, 0.0) for step in zip(states[:-1], states[1:], labels, words, strict=True)]
    finals = {0: 0.0, 1: 0.0} | ({3: 0.0} if lexicon.silence is not None else {})
    return kaldi.transducer(arcs, finals), [first + mark for mark in range(last + 1)]


def grammar(model: BackoffModel, words: Sequence[str]) -> Any:
    """G: sentences of ``words`` at the cost that ``model`` gives them; a word for each, back-off reads W + 1.

    A state is a history that some n-gram has. Back-off is open to every word, also to one that an n-gram has: a path may
    then be cheaper than ``BackoffModel.score`` says, as in all such graphs (Allauzen, Mohri and Roark 2003, section 4).
    """
    labels = {word: i for i, word in enumerate(words, 1)}
    known = {
        gram: p
        for gram, (p, _) in model.grams.items()
        if p > NEVER and (gram[-1] in labels or gram[-1] == END) and all(w in labels or w == BEGIN for w in gram[:-1])
    }
    histories = dict.fromkeys([(BEGIN,), (), *(gram[:-1] for gram in known)])
    states = {history: state for state, history in enumerate(histories)}

    def lower(history: tuple[str, ...], cost: float) -> tuple[int, float]:
        """The longest end of ``history`` that is a state, and ``cost`` with that of the back-offs to it."""
        while history not in states:
            cost -= model.grams.get(history, (0.0, 0.0))[1]
            history = history[1:]
        return states[history], cost

    arcs, finals = [], {}
    for history, state in states.items():
        if history:
            shorter, cost = lower(history[1:], -model.grams.get(history, (0.0, 0.0))[1])
            arcs.append((state, shorter, len(words) + 1, 0, cost))
    for (*history, word), p in known.items():
        state = states[tuple(history)]
        if word == END:
            finals[state] = -p
        else:
            after, cost = lower((*history, word)[max(0, len(history) + 2 - model.order) :], -p)
            arcs.append((state, after, labels[word], labels[word], cost))
    return kaldi.transducer(arcs, finals)


def aligned(sentences: Any, vocab: int, marks: Sequence[int]) -> Any:
    """H ∘ ``sentences``: what CTC makes of frames (Graves et al. 2006, section 3.1), runs one symbol and blanks none.

    A state is the symbol of the frame before, 0 after a blank, and a state of ``sentences``; only those that can be reached
    are made, where H alone has V x V arcs. Marks, having parted what they had to, read nothing.
    """
    silent, blank = {0, *marks}, vocab + 1
    numbers = {(0, sentences.start): 0}
    finals: dict[int, float] = {}

    def arcs() -> Iterator[tuple[int, int, int, int, float]]:
        ready = list(numbers)
        while ready:
            last, place = ready.pop()
            state = numbers[last, place]
            if (final := sentences.final(place).value) < float("inf"):
                finals[state] = final
            said = [((0, place), blank, 0, 0.0)] + ([((last, place), last, 0, 0.0)] if last else [])
            for to, label, word, cost in kaldi.leaving(sentences, place):
                if label in silent:
                    said.append(((last, to), 0, word, cost))
                elif label != last:
                    said.append(((label, to), label, word, cost))
            for after, label, word, cost in said:
                if after not in numbers:
                    numbers[after] = len(numbers)
                    ready.append(after)
                yield state, numbers[after], label, word, cost

    return kaldi.transducer(arcs(), finals)
