"""MOS: the opinion of listeners, as a network predicts it whose weights the user has (UTMOS, DNSMOS and others)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.audio_pairs import waves
from speechunits.metrics.utterance_ratios import UtteranceRatios, mean

Network = Callable[[np.ndarray], np.ndarray]  # (1, S) float32 -> as many numbers as there are results


class MOS(UtteranceRatios):
    """Whatever a network says of a waveform, the mean over utterances; no weights come with this package.

    An ONNX file is a graph of known operators and is run by onnxruntime (``pip install 'speechunits[mos]'``) on the CPU. A
    TorchScript file (``.pt``, ``.pth``, ``.ts``) is a program: it is run only with ``trust``. Both take one waveform (1, S),
    float32 in [-1, 1], as their only input and give a number for each of ``names`` in their first output.
    ``conf/measures/dnsmos.yaml`` has the settings of DNSMOS.

    Reads ``outputs["audio"]`` and ``batch["ids"]``.

    Args:
        path: of the network.
        names: of its results.
        seconds: of the windows that it hears, whose results are averaged: every full one, ``step`` apart; what is shorter than
            one is repeated. None = the whole utterance at once.
        step: seconds.
        polynomials: name -> coefficients, the highest power first, through which a result goes.
        rate: of the audio, Hz.
        trust: run a program of this origin.

    Raises:
        UserError: the file is missing or not of its kind, or what runs it is not installed.
        ValueError: a polynomial is of no result.
    """

    def __init__(
        self,
        path: str,
        names: Sequence[str] = ("mos",),
        seconds: float | None = None,
        step: float = 1.0,
        polynomials: Mapping[str, Sequence[float]] | None = None,
        rate: int = 16000,
        trust: bool = False,
    ) -> None:
        super().__init__()
        self.path, self.names, self.rate = path, tuple(names), rate
        self.polynomials = dict(polynomials or {})
        if strange := sorted(self.polynomials.keys() - {*names}):
            raise ValueError(f"polynomials: {strange[0]} is none of {', '.join(names)}")
        self.window = None if seconds is None else int(seconds * rate)
        self.step = int(step * rate)
        self.network = _network(Path(path), trust)

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: the audio is missing, of another rate, empty or not finite, or the network does not take it.
        """
        ids = self.need(batch, "ids")
        for number, (key, wave) in enumerate(zip(ids, waves(self, outputs, ids, self.rate), strict=True)):
            if not len(wave):
                raise UserError(f"{key}: no samples, so no opinion; leave the utterance out")
            said = np.stack([self._ask(key, window) for window in self._windows(wave.float())]).mean(0)
            self.keep(batch, number, **{name: mean(float(value)) for name, value in zip(self.names, said, strict=True)})

    def _windows(self, wave: Tensor) -> list[Tensor]:
        if self.window is None:
            return [wave]
        if len(wave) < self.window:
            return [wave.repeat(math.ceil(self.window / len(wave)))[: self.window]]
        return list(wave.unfold(0, self.window, self.step))

    def _ask(self, key: str, wave: Tensor) -> np.ndarray:
        try:
            said = self.network(wave.numpy()[None]).reshape(-1).astype(float)
        except Exception as error:  # of the network, whatever it is
            why = " ".join(str(error).split())[-200:]
            raise UserError(
                f"{self.path}: does not take the {len(wave)} samples of {key} ({why}); see seconds"
            ) from error
        if said.shape != (len(self.names),) or not np.isfinite(said).all():
            raise UserError(f"{self.path}: gave {said.tolist()[:4]} for {key}, not one number for each of {self.names}")
        curves = [self.polynomials.get(name, (1.0, 0.0)) for name in self.names]
        return np.array([np.polyval(curve, value) for curve, value in zip(curves, said, strict=True)])


def _network(path: Path, trust: bool) -> Network:
    if not path.is_file():
        raise UserError(f"{path}: does not exist; give the file of a network that predicts opinions, or leave it out")
    if path.suffix == ".onnx":
        return _onnx(path)
    if path.suffix not in (".pt", ".pth", ".ts"):
        raise UserError(f"{path}: neither .onnx nor TorchScript (.pt, .pth, .ts); export the network to ONNX")
    if not trust:
        raise UserError(
            f"{path}: TorchScript is a program; set trust=true if you trust its origin, or export the network to ONNX"
        )
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # torch raises many kinds for a file that is none
        raise UserError(
            f"{path}: is not TorchScript or damaged ({str(error).splitlines()[0][:200]}); save it again"
        ) from error

    def ask(wave: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            said = script(torch.from_numpy(wave.copy()))
        return (said[0] if isinstance(said, (tuple, list)) else said).numpy()

    return ask


def _onnx(path: Path) -> Network:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: onnxruntime is not installed: pip install 'speechunits[mos]', or leave this measure out"
        ) from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds, which are no public classes
        raise UserError(
            f"{path}: cannot be read as ONNX ({str(error).splitlines()[0][:200]}); export it again"
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UserError(
            f"{path}: wants {len(inputs)} inputs ({', '.join(x.name for x in inputs)}), not a waveform alone"
        )
    return lambda wave: session.run(None, {inputs[0].name: wave})[0]
