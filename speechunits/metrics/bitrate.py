"""Bitrate: the bits per second that units cost, and the Interspeech-2024 figure that bears the same name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.contingency import entropy
from speechunits.metrics.utterance_rows import UtteranceRows
from speechunits.seq import unpad


def entropy_bitrate(tokens: Tensor, seconds: float) -> float:
    """Bits per second of tokens (N,) spoken in ``seconds``: N / seconds * entropy of the tokens in bits.

    ZeroSpeech 2019 (Dunbar et al., https://arxiv.org/abs/1904.11469), section 4. nan without tokens.
    """
    if not len(tokens):
        return math.nan
    return len(tokens) / seconds * entropy(torch.bincount(tokens)) / math.log(2)


def dsu_bitrate(tokens: Sequence[int], vocab: Sequence[int], seconds: float) -> float:
    """Sum over streams of log2(tokens / second) + log2(vocabulary) for one utterance: not bits per second.

    ``calculate_bitrate.py`` of the Interspeech 2024 discrete speech unit challenge
    (https://github.com/espnet/espnet/blob/master/egs2/TEMPLATE/asr1/pyscripts/utils/calculate_bitrate.py).

    Args:
        tokens: how many tokens each stream has.
        vocab: how many different ones it could have.
    """
    return sum(math.log2(n / seconds) + math.log2(v) for n, v in zip(tokens, vocab, strict=True))


class Bitrate(UtteranceRows):
    """``tokens_per_second``, ``bitrate`` in bits/s and ``dsu_bitrate`` on the challenge's scale, each also as ``_dedup``; and
    ``bitrate_voice`` of all that a vocoder is given: units, how long they last, F0 and speaker.

    Reads ``outputs["units"]`` (B, T) or (B, T, K), ``batch["ids"]`` and, where units have lost their hop (merged units,
    subwords), ``batch["audio"]`` or ``batch["durations"]`` (B, T), the frames of each, for the seconds. Codebooks are coded
    apart: their tokens and bits add up. ``_dedup`` counts a run of equal units in a codebook as one token and does not pay
    for its length. With durations, ``bitrate_durations`` is what they would cost beside the tokens, coded apart from them.
    ``dsu_`` figures are means over utterances.

    ``batch["pitch"]`` (B, T), the bin of F0 of each frame (unvoiced is one of them), gives ``bitrate_pitch``; ``speakers``
    gives ``bitrate_speaker``, log2 of their number once in an utterance. With one of them, ``bitrate_voice`` is the sum of what
    is there: units and durations or, without durations, units as ``_dedup`` and ``bitrate_runs``, the lengths of their runs.

    Args:
        speakers: among how many one is chosen for each utterance.
        vocab: codes per codebook, (V_1, ..., V_K).

    Raises:
        ValueError: there is not even one speaker.
    """

    def __init__(self, speakers: int | None = None, *, vocab: tuple[int, ...]) -> None:
        super().__init__()
        if speakers is not None and speakers < 1:
            raise ValueError(f"speakers: {speakers} is no number of voices to choose from; give 1 for one voice")
        self.speakers, self.vocab = speakers, vocab

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: neither units, audio nor durations tell the seconds, or an utterance has no units.
        """
        seq, units = self.units(outputs, "units")
        if seq.data.size(2) != len(self.vocab):
            raise ValueError(f"units have {seq.data.size(2)} codebooks and vocab {self.vocab} names {len(self.vocab)}")
        lasting = batch.get("durations")
        clock = batch.get("audio", seq if lasting is None else lasting)
        if clock.hop is None:
            raise UserError(
                "bitrate needs seconds and these units have no hop; add the field 'audio' or 'durations' to the batch"
            )
        frames = (clock.data * clock.valid).sum(1) if clock is lasting else clock.lengths
        more = {name: unpad(batch[name]) for name in ("durations", "pitch") if name in batch}
        kept = [{name: rows[i] for name, rows in more.items()} for i in range(len(units))]
        for key, x, n, others in zip(self.need(batch, "ids"), units, frames.tolist(), kept, strict=True):
            if not len(x) or not n:
                raise UserError(f"{key}: no units, so there is no bitrate; leave utterances this short out")
            self.put(key, units=x.int(), seconds=torch.tensor(float(n * clock.hop), dtype=torch.float64), **others)

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
        """
        rows = self.rows()
        seconds = [float(r["seconds"]) for r in rows]
        whole = [list(r["units"].unbind(1)) for r in rows]
        short = [[torch.unique_consecutive(x) for x in streams] for streams in whole]
        out = {}
        for suffix, utterances in (("", whole), ("_dedup", short)):
            streams = [torch.cat(stream) for stream in zip(*utterances, strict=True)]
            each = [
                dsu_bitrate([len(x) for x in streams], self.vocab, s)
                for streams, s in zip(utterances, seconds, strict=True)
            ]
            out["tokens_per_second" + suffix] = sum(map(len, streams)) / sum(seconds)
            out["bitrate" + suffix] = sum(entropy_bitrate(x, sum(seconds)) for x in streams)
            out["dsu_bitrate" + suffix] = sum(each) / len(each)
        for name in ("durations", "pitch"):
            if all(name in r for r in rows):
                out[f"bitrate_{name}"] = entropy_bitrate(torch.cat([r[name] for r in rows]), sum(seconds))
        if self.speakers is not None:
            out["bitrate_speaker"] = len(rows) * math.log2(self.speakers) / sum(seconds)
        if "bitrate_pitch" in out or "bitrate_speaker" in out:
            out |= self._voice(out, whole, sum(seconds))
        return out

    def _voice(self, costs: Mapping[str, float], units: list[list[Tensor]], seconds: float) -> dict[str, float]:
        more = sum(costs.get(name, 0.0) for name in ("bitrate_pitch", "bitrate_speaker"))
        if "bitrate_durations" in costs:
            return {"bitrate_voice": costs["bitrate"] + costs["bitrate_durations"] + more}
        counted = [[torch.unique_consecutive(x, return_counts=True)[1] for x in streams] for streams in units]
        runs = sum(entropy_bitrate(torch.cat(stream), seconds) for stream in zip(*counted, strict=True))
        return {"bitrate_runs": runs, "bitrate_voice": costs["bitrate_dedup"] + runs + more}
