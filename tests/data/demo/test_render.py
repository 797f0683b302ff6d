"""Rendering does not depend on workers or order, and its labels sit where the sounds are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from speechunits.data.demo.plan import Utterance, plan
from speechunits.data.demo.render import Rendering, render
from speechunits.errors import UserError

pytestmark = pytest.mark.slow


def _render(utterances: list[Utterance], folder: Path, workers: int) -> dict[str, tuple[Rendering, bytes]]:
    folder.mkdir()
    renderings = list(render(utterances, folder, workers))
    files = [(folder / f"{u.id}.flac").read_bytes() for u in utterances]
    return {u.id: made for u, made in zip(utterances, zip(renderings, files, strict=True), strict=True)}


@pytest.mark.usefixtures("espeak_installed")
def test_same_bytes_for_any_workers_and_order(tmp_path: Path) -> None:
    none = {"sentences": 0, "spanish": 0, "speakers": 0}
    sizes = {"train": {"sentences": 12, "spanish": 6, "speakers": 6}, "valid": none, "test": none}
    utterances = plan(sizes, seed=3, target_speaker="f00", channel=True)
    one = _render(utterances, tmp_path / "one", workers=1)
    two = _render(utterances, tmp_path / "two", workers=2)
    backwards = _render(utterances[::-1], tmp_path / "backwards", workers=1)
    assert len({file for _, file in one.values()}) == len(utterances)
    assert one == two == backwards


@pytest.mark.usefixtures("espeak_installed")
def test_a_child_reports_its_error(tmp_path: Path) -> None:
    fast = Utterance("x", "x", "train", "en", "f00", "hello", 400, 50, 50, 1, False)
    with pytest.raises(UserError, match=r"utterance x cannot be synthesised.*400"):
        list(render([fast], tmp_path, 1))


@pytest.mark.usefixtures("espeak_installed")
def test_workers_do_not_import_the_main_module_of_the_caller(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        f"from pathlib import Path\nPath({str(tmp_path)!r}, __name__).touch()\n"
        "if __name__ == '__main__':\n"
        "    from speechunits.data.demo.plan import Utterance\n"
        "    from speechunits.data.demo.render import render\n"
        "    said = Utterance('x', 'x', 'train', 'en', 'f00', 'hello', 170, 50, 50, 1, False)\n"
        f"    print(list(render([said], Path({str(tmp_path)!r}), 1))[0].samples, __spec__, __file__)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    samples, spec, file = done.stdout.split()
    assert int(samples) > 8000 and (spec, file) == ("None", str(script))
    assert {path.name for path in tmp_path.glob("__*__")} == {"__main__"}


def test_workers_import_no_torch() -> None:
    """They fork for each utterance, which with torch's memory takes several times as long."""
    script = (
        "import speechunits.data.demo.render, sys; print(sorted({'torch', 'lhotse', 'lightning'} & {*sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def _accuracy(cuts: list[Any], shift: float) -> float:
    """Frame-wise LDA of phones from MFCC, labels read ``shift`` seconds away; trained on three quarters."""
    mfcc = torchaudio.transforms.MFCC(16000, 13, melkwargs={"n_fft": 400, "hop_length": 160, "n_mels": 40})
    frames: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for cut in cuts:
        with torch.no_grad():
            found = mfcc(torch.from_numpy(cut.load_audio()))[0].T.numpy()  # frame t is centred at 10 ms * t
        phones = cut.supervisions[0].alignment["phone"]
        times = np.clip(np.arange(len(found)) * 0.01 + shift, 0, cut.duration - 1e-4)
        index = np.searchsorted([phone.start for phone in phones], times, side="right") - 1
        frames.append(found)
        labels.append(np.array([phone.symbol for phone in phones])[index])
    cutoff = len(cuts) * 3 // 4
    lda = LinearDiscriminantAnalysis().fit(np.concatenate(frames[:cutoff]), np.concatenate(labels[:cutoff]))
    return float(lda.score(np.concatenate(frames[cutoff:]), np.concatenate(labels[cutoff:])))


def test_labels_are_not_shifted_in_time(cuts: Callable[[str, str], list[Any]]) -> None:
    english = cuts("train", "en")
    accuracy = {shift: _accuracy(english, shift / 1000) for shift in (-40, -20, 0, 20, 40)}
    assert accuracy[0] > 0.45
    assert accuracy[0] > max(accuracy[-20], accuracy[20]) + 0.02
    assert min(accuracy[-20], accuracy[20]) > max(accuracy[-40], accuracy[40])
