"""eSpeak's events as words and phones in seconds: exact sample positions, stop closures put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speechunits.data.demo.espeak import PHONE, WORD, Event

SILENCE = "sil"
PRIMARY, SECONDARY = "ˈ", "ˌ"
STOPS = frozenset(("p", "b", "t", "d", "k", "ɡ", "ʔ", "tʃ", "dʒ", "ts", "c", "ɟ", "q", "pf"))
LONGEST_CLOSURE = 0.08  # seconds; more quiet than this before a burst is a pause


class Interval(NamedTuple):
    """A label over [start, end) in seconds; ``stress`` is 1 primary, 2 secondary, 0 neither (phones only)."""

    label: str
    start: float
    end: float
    stress: int = 0


class _Phone(NamedTuple):
    label: str
    stress: int
    start: int  # sample
    position: int  # of its word in the text


def align(
    events: Sequence[Event], audio: np.ndarray, sampling_rate: int, text: str
) -> tuple[list[Interval], list[Interval]]:
    """(words, phones) of one utterance. Phones tile the audio, pauses are ``sil``; the words give ``text`` back.

    Args:
        audio: (S,) int16, as eSpeak gave it.
        text: what was spoken, without the final full stop.
    """
    phones = _start_stops_at_closure([_phone(e) for e in events if _is_sound(e)], audio, sampling_rate)
    words = [e for e in events if e.kind == WORD]
    return _words(words, phones, len(audio), sampling_rate, text), _tile(phones, len(audio), sampling_rate)


def _is_sound(event: Event) -> bool:
    return event.kind == PHONE and not event.name.startswith("(")  # "(en)" marks a change of language


def _phone(event: Event) -> _Phone:
    stress = 1 if PRIMARY in event.name else 2 if SECONDARY in event.name else 0
    label = event.name.replace(PRIMARY, "").replace(SECONDARY, "") or SILENCE
    return _Phone(label, stress, event.sample, event.position)


def _start_stops_at_closure(phones: list[_Phone], audio: np.ndarray, sampling_rate: int) -> list[_Phone]:
    """eSpeak marks a stop at its burst, so its closure counts to the sound before: start it where the sound ceased."""
    envelope = np.abs(audio.astype(np.int32))
    quiet = max(40.0, 0.004 * envelope.max(initial=0))
    step = sampling_rate // 1000
    longest = int(LONGEST_CLOSURE * sampling_rate)
    moved = list(phones)
    for i in range(1, len(phones)):
        phone = phones[i]
        if phone.label not in STOPS:
            continue
        earliest = max(moved[i - 1].start + step, phone.start - longest)
        start = phone.start
        while start - step >= earliest and envelope[start - step : start].max() <= quiet:
            start -= step
        moved[i] = phone._replace(start=start)
    return moved


def _tile(phones: list[_Phone], samples: int, sampling_rate: int) -> list[Interval]:
    """Gapless intervals over the whole audio; neighbouring pauses become one, empty phones vanish."""
    starts = [(phone.label, phone.stress, phone.start) for phone in phones]
    if not starts or starts[0][2] > 0:
        starts.insert(0, (SILENCE, 0, 0))
    tiles: list[Interval] = []
    ends = [start for _, _, start in starts[1:]] + [samples]
    for (label, stress, start), end in zip(starts, ends, strict=True):
        if end <= start:
            continue
        if tiles and label == SILENCE == tiles[-1].label:
            tiles[-1] = tiles[-1]._replace(end=end / sampling_rate)
        else:
            tiles.append(Interval(label, start / sampling_rate, end / sampling_rate, stress))
    return tiles


def _words(words: list[Event], phones: list[_Phone], samples: int, sampling_rate: int, text: str) -> list[Interval]:
    """A word lasts from its first phone to the start of what follows its last one."""
    found: list[Interval] = []
    for i, word in enumerate(words):
        own = [n for n, phone in enumerate(phones) if phone.position == word.position and phone.label != SILENCE]
        start = phones[own[0]].start if own else word.sample
        end = phones[own[-1] + 1].start if own and own[-1] + 1 < len(phones) else samples
        # Some pairs are spoken as one word ("in the") under one event that has the length of the first only:
        # the label is the text up to the next event.
        until = words[i + 1].position - 1 if i + 1 < len(words) else len(text)
        label = text[word.position - 1 : until].strip()
        found.append(Interval(label, start / sampling_rate, end / sampling_rate))
    return found
