"""PitchErrors: whether the melody of what was made is that of the original."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.audio_pairs import waves
from speechunits.metrics.dtw import warp
from speechunits.metrics.mel_cepstral_distortion import MelCepstra, distances
from speechunits.metrics.utterance_ratios import NONE, Ratio, UtteranceRatios, mean
from speechunits.seq import Seq, unpad

CENTS = 1200 / math.log(2)  # of a difference of ln F0
GROSS = 0.2  # share of the true F0 that a gross error is off by at least


def pitch_errors(made: Tensor, original: Tensor) -> dict[str, Ratio]:
    """The results of ``PitchErrors`` for one utterance.

    Args:
        made, original: (L, 2) and more, aligned frames: ln F0, and whether the frame is voiced (0 or 1).
    """
    voiced = made[:, 1] > 0.5, original[:, 1] > 0.5
    both, differ = voiced[0] & voiced[1], int((voiced[0] != voiced[1]).sum())
    ours, theirs = made[both, 0].double(), original[both, 0].double()
    off = ours - theirs
    gross = int(((off.exp() - 1).abs() > GROSS).sum())
    rmse = float(off.square().mean().sqrt())  # nan where nothing is voiced in both
    a, b = ours - ours.mean(), theirs - theirs.mean()
    spread = float(a.norm() * b.norm())
    return {
        "log_f0_rmse": mean(rmse),
        "f0_rmse_cents": mean(CENTS * rmse),
        "log_f0_correlation": mean(float(a @ b) / spread) if spread > 1e-12 else NONE,
        "gross_pitch_error": (100.0 * gross, len(off)),
        "voicing_decision_error": (100.0 * differ, len(made)),
        "f0_frame_error": (100.0 * (gross + differ), len(made)),
    }


def in_step(made: int, original: int) -> tuple[Tensor, Tensor]:
    """Frames of a path that goes evenly from the beginnings of both to their ends, one for each frame of the longer one."""
    steps = torch.arange(max(made, original))
    return steps * made // len(steps), steps * original // len(steps)


class PitchErrors(UtteranceRatios):
    """Errors of F0 and voicing over aligned frames.

    Of frames voiced in both: ``log_f0_rmse`` (of ln F0), the same as ``f0_rmse_cents``, and Pearson's ``log_f0_correlation``,
    means over the utterances that have them; ``gross_pitch_error``, the percentage whose F0 is off by more than 20 %
    (Nakatani et al. 2008). Of all: ``voicing_decision_error``, the percentage that is voiced in one alone, and
    ``f0_frame_error``, with one error or the other (Chu and Alwan 2009, https://doi.org/10.1109/ICASSP.2009.4960497).
    The units of the first two are nats and cents of 1200 to the octave.

    Reads ``outputs["prosody"]`` and ``batch["prosody"]``, Seq (B, T, 2 or more) of one hop whose columns are ln F0 and voiced
    (0 or 1), ``batch["ids"]`` and, to align by sound, ``outputs["audio"]`` and ``batch["audio"]``.

    Args:
        align: "dtw" = the path that ``mcd`` takes, at the hop of the prosody; "linear" = evenly from beginning to end, for
            what is in step.
        rate: of the audio, Hz.
    """

    def __init__(self, align: Literal["dtw", "linear"] = "dtw", rate: int = 16000) -> None:
        super().__init__()
        self.align, self.rate = align, rate

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a field is missing, of another rate, has no frame or values that are not finite.
            ValueError: the hops differ.
        """
        ids, made, original = self.need(batch, "ids"), *(self.need(x, "prosody") for x in (outputs, batch))
        if made.hop != original.hop or made.hop is None:
            raise ValueError(f"'prosody' has a hop of {made.hop} s where it was made and {original.hop} s where not")
        sounds = [waves(self, x, ids, self.rate) for x in (outputs, batch)] if self.align == "dtw" else None
        for number, (key, ours, theirs) in enumerate(zip(ids, *map(_rows, (made, original)), strict=True)):
            if not (len(ours) and len(theirs)):
                raise UserError(f"{key}: no frame of prosody; leave utterances this short out")
            if sounds is None:
                rows, columns = in_step(len(ours), len(theirs))
            else:
                cepstra = MelCepstra(hop=made.hop, rate=self.rate)
                try:
                    rows, columns = warp(distances(*(cepstra(side[number]) for side in sounds)))
                except ValueError as error:
                    raise UserError(f"{key}: {error}; leave the utterance out, or mend what made it") from error
            # the grids of prosody and of cepstra may differ by a frame at the end
            pair = ours[rows.clamp(max=len(ours) - 1)], theirs[columns.clamp(max=len(theirs) - 1)]
            if not all(bool(x.isfinite().all()) for x in pair):
                raise UserError(f"{key}: its prosody is not finite; make it again")
            self.keep(batch, number, **pitch_errors(*pair))


def _rows(prosody: Seq) -> list[Tensor]:
    return [x.detach().cpu() for x in unpad(prosody)]
