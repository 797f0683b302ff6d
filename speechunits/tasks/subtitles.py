"""Words as text, subtitles or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from speechunits.decode.words import Word
from speechunits.errors import UserError

LINE, SECONDS, PAUSE = (
    42,
    7.0,
    0.8,
)  # letters of each of a subtitle's two lines, its length, and the silence that ends one


def captions(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Words that are shown together: until a pause, or as many as can be read in their time.

    Raises:
        UserError: a word has no times.
    """
    shown: list[Word] = []
    for word in words:
        if word.start is None or word.end is None:
            raise UserError(
                "the words have no times, which subtitles need; choose a search of a CTC or transducer head"
            )
        if shown:
            first, last = shown[0].start, shown[-1].end
            assert first is not None and last is not None
            full = max(map(len, _lines([w.text for w in (*shown, word)]))) > LINE
            if word.start - last >= PAUSE or word.end - first > SECONDS or full:
                yield shown
                shown = []
        shown.append(word)
    if shown:
        yield shown


def as_text(words: Iterable[Word]) -> str:
    """One line."""
    return " ".join(word.text for word in words) + "\n"


def as_srt(words: Iterable[Word]) -> str:
    """SubRip subtitles."""
    return "\n".join(
        f"{i}\n{clock(a, ',')} --> {clock(b, ',')}\n{text}\n" for i, (a, b, text) in enumerate(_shown(words), 1)
    )


def as_vtt(words: Iterable[Word]) -> str:
    """WebVTT subtitles (W3C)."""
    return "WEBVTT\n\n" + "\n".join(
        f"{clock(a, '.')} --> {clock(b, '.')}\n{escape(text, quote=False)}\n" for a, b, text in _shown(words)
    )


def as_json(words: Iterable[Word], audio: str) -> str:
    """``{"audio": ..., "text": ..., "words": [{"text", "start", "end", "confidence"}, ...]}``; times in seconds."""
    listed = list(words)
    rows = [{k: v if not isinstance(v, float) else round(v, 3) for k, v in vars(word).items()} for word in listed]
    return json.dumps({"audio": audio, "text": as_text(listed).strip(), "words": rows}, ensure_ascii=False) + "\n"


FORMATS = {"txt": as_text, "srt": as_srt, "vtt": as_vtt}


def clock(seconds: float, point: str) -> str:
    """3723.5 -> 01:02:03,500 (point ",")."""
    total = round(seconds * 1000)
    minutes, rest = divmod(total, 60000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _shown(words: Iterable[Word]) -> Iterator[tuple[float, float, str]]:
    for caption in captions(words):
        start, end = caption[0].start, caption[-1].end
        assert start is not None and end is not None
        yield start, end, "\n".join(_lines([word.text for word in caption]))


def _lines(texts: Sequence[str]) -> list[str]:
    """One line, or two of as equal length as can be."""
    whole = " ".join(texts)
    if len(whole) <= LINE:
        return [whole]
    two = ((" ".join(texts[:i]), " ".join(texts[i:])) for i in range(1, len(texts) + 1))
    return [line for line in min(two, key=lambda lines: max(map(len, lines))) if line]
