"""One self-contained HTML page: a head of facts and a list of sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from speechunits import store
from speechunits.errors import UserError

LIMIT = 8_000_000  # bytes: what mail and code hosts still take

STYLE = """
:root{color-scheme:light dark;--text:#1b1b1b;--page:#fff;--faint:#666;--line:#ddd;--card:#f6f6f6;
--yes:#00734f;--no:#b34700}
@media(prefers-color-scheme:dark){:root{--text:#e6e6e6;--page:#17181a;--faint:#a0a0a0;--line:#3a3c40;--card:#222427;
--yes:#3ecf9c;--no:#ff9a55}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:1100px;margin:2em auto;
padding:0 1em}
h1{margin:0 0 .2em}h2{margin:2em 0 .5em;border-bottom:1px solid var(--line)}h3{margin:1.5em 0 .3em;font-size:1.05em}
a{color:inherit}nav a{margin-right:1.2em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em;background:var(--card);padding:.8em 1em;border-radius:6px;
font-size:.87em}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap;font-family:ui-monospace,monospace}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25em .8em;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
figure{margin:1em 0}figure .wide{background:#fff;border-radius:6px;border:1px solid var(--line)}
figure img{display:block;margin:0 auto;height:auto}
figcaption{color:var(--faint);font-size:.87em;margin-top:.3em}audio{width:100%;max-width:520px;display:block;margin:.4em 0}
ul.claims{list-style:none;padding:0}.yes b{color:var(--yes)}.no b{color:var(--no)}
"""


@dataclass(frozen=True)
class Section:
    """A heading and HTML made of ``markup``."""

    title: str
    body: str


def page(title: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The whole document; sections without a body are left out."""
    shown = [s for s in sections if s.body]
    links = "".join(f'<a href="#s{i}">{escape(s.title)}</a>' for i, s in enumerate(shown))
    head = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in facts.items() if v)
    body = "".join(f'<section id="s{i}"><h2>{escape(s.title)}</h2>\n{s.body}</section>\n' for i, s in enumerate(shown))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n<dl>\n{head}</dl>\n<nav>{links}</nav>\n"
        f"{body}</body></html>\n"
    )


def write_page(path: str | Path, html: str) -> None:
    """Write the page whole or not at all.

    Raises:
        UserError: it is larger than 8 MB, or cannot be written.
    """
    if (size := len(html.encode())) > LIMIT:
        raise UserError(
            f"{path}: the page would have {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}; "
            "show fewer or shorter examples (examples.count, examples.max_seconds)"
        )
    store.write_text(path, html)
