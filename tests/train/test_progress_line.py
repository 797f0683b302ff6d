"""Progress on a terminal and elsewhere, from a real run."""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from speechunits.train.callbacks.progress_line import ProgressLine
from tests.train.tiny import Each, train


def test_plain_lines_come_with_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, 4, options={"log_every": 2})
    lines = capsys.readouterr().out.splitlines()
    figures = r"loss \d+\.\d{4}  lr \d\.\d\de[+-]\d\d  grad \d+\.\d\d  \d+\.\d audio-s/s  loader wait \d+%"
    assert [line for line in lines if re.fullmatch(rf"[24]/4  {figures}", line)] == [lines[0], lines[1]]
    assert lines[2].startswith("4  valid/absolute/masked ") and "valid/loss " in lines[2] and len(lines) == 3


def test_a_log_gets_the_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "speechunits"):
        train(tmp_path, 4, options={"log_every": 2})
    lines = [r.getMessage() for r in caplog.records if r.name.endswith("progress_line")]
    assert [line.split()[0] for line in lines] == ["2/4", "4/4", "4"] and "loader wait" in lines[0]


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=140)
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger("speechunits").addHandler(handler)
    seen = []
    try:
        where = Each(lambda step: seen.append(handler.stream))
        train(tmp_path, 4, callbacks=[ProgressLine(4, console=console), where])
    finally:
        logging.getLogger("speechunits").removeHandler(handler)
    assert "4/4" in screen.getvalue() and "audio-s/s" in screen.getvalue()
    assert handler.stream is sys.stdout and sys.stdout not in seen, "log lines go through the bar while it is there"
