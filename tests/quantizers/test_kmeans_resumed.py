"""A k-means that was broken off anywhere goes on as if nothing had been; one of another kind does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from speechunits.errors import UserError
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from tests.quantizers.mixture import Corpus, Interrupted, run, same, silent


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    expected = run(None, Corpus())
    interrupted = 0
    for stop in range(1, 40):  # in every report of every stage
        folder = tmp_path / str(stop)
        try:
            run(folder, Corpus(), stop)
            break
        except Interrupted:
            interrupted += 1
        assert same(run(folder, Corpus()), expected), stop
    assert interrupted == 4 + 2 * 3 + 2 * 4  # windows, iterations, windows and the end of extra passes


@pytest.mark.parametrize("where", [(1, 0), (1, 8), (1, 14), (2, 1), (2, 7), (3, 13)])
def test_resumed_in_the_middle_of_a_pass(tmp_path: Path, where: tuple[int, int]) -> None:
    expected = run(None, Corpus())
    corpus = Corpus()
    corpus.stop_at = where
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, corpus)
    corpus.stop_at, corpus.served = None, []
    assert same(run(tmp_path, corpus), expected)
    assert corpus.served[0][1] == max(where[1] - 1, 0) // 4 * 4  # from the last checkpoint; one batch is read ahead
    served = len(corpus.served)
    assert same(run(tmp_path, corpus), expected) and len(corpus.served) == served  # finished: nothing is read again
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_killed_and_resumed(tmp_path: Path) -> None:
    """SIGKILL at the n-th file operation, where a checkpoint is half written."""
    expected = run(None, Corpus())
    script = (
        "import os, sys, signal; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import mixture as t\n"
        "real, left = os.replace, [int(sys.argv[3])]\n"
        "def replace(a, b):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(a, b)\n"
        "os.replace = replace\n"
        "t.run(Path(sys.argv[2]), t.Corpus())\n"
    )
    for at in (4, 14):
        folder = tmp_path / str(at)
        here = Path(__file__).parent
        command = [sys.executable, "-c", script, str(here), str(folder), str(at)]
        done = subprocess.run(command, cwd=here.parents[1], check=False)
        assert done.returncode == -9 and any(folder.glob(".*.tmp"))
        assert same(run(folder, Corpus()), expected)
        assert not any(folder.glob(".*.tmp"))


def test_a_folder_of_another_fit_is_refused(tmp_path: Path) -> None:
    KMeansFitter(4).fit(Corpus(), folder=tmp_path, source="layer 6", report=silent)
    with pytest.raises(UserError, match=r"state\.json was written with seed=0, this fit has seed=1"):
        KMeansFitter(4, seed=1).fit(Corpus(), folder=tmp_path, source="layer 6", report=silent)
    with pytest.raises(UserError, match="source='layer 6', this fit has source='layer 9'"):
        KMeansFitter(4).fit(Corpus(), folder=tmp_path, source="layer 9", report=silent)
    assert json.loads((tmp_path / "state.json").read_text())["stage"] == "done"
