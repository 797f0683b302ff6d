"""Pieces of HTML that carry their own data: nothing on the page is fetched from anywhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import soundfile

from speechunits.report.canvas import DPI


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def subtitle(text: str) -> str:
    return f"<h3>{escape(text)}</h3>\n"


def picture(png: bytes, caption: str) -> str:
    """A figure with its caption; pictures wider than the page scroll."""
    data = base64.b64encode(png).decode()
    width = int.from_bytes(png[16:20], "big") / DPI * 96  # CSS pixels of the printed size
    text = escape(caption)
    return (
        f'<figure><div class="wide"><img src="data:image/png;base64,{data}" style="width:{width:.0f}px" '
        f'alt="{text}"></div><figcaption>{text}</figcaption></figure>\n'
    )


def player(samples: np.ndarray, rate: int, label: str) -> str:
    """An audio player with the waveform (S,) in [-1, 1] inside, as 16-bit FLAC."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="metadata" aria-label="{escape(label)}" src="data:audio/flac;base64,{data}"></audio>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers, set flush right."""
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def checked(items: Iterable[tuple[str, bool]]) -> str:
    """Sentences with a tick or a cross."""
    lines = "".join(
        f'<li class="{"yes" if good else "no"}"><b>{"✓" if good else "✗"}</b> {escape(text)}</li>\n'
        for text, good in items
    )
    return f'<ul class="claims">\n{lines}</ul>\n'
