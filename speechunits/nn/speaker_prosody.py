"""SpeakerProsody: the pitch and energy of each speaker of a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.errors import UserError, some
from speechunits.nn.prosody_scale import ProsodyScale, moments, own_scale, scale_of
from speechunits.seq import Seq


class SpeakerProsody(nn.Module):
    """A ``ProsodyScale`` for each name, as it was measured over a corpus; ``fit_speaker_prosody`` measures.

    Args:
        names: of the speakers, all different.
        source: fingerprint of the prosody that was measured.
        unknown: what a name that is not among them gets: "refuse", or the scale of its "utterance".

    Raises:
        ValueError: names are missing or come twice.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, names: Sequence[str], source: str = "", unknown: Literal["refuse", "utterance"] = "refuse"
    ) -> None:
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise ValueError("names: needs different names of speakers, as fit_speaker_prosody finds them")
        self.names, self.source, self.unknown = tuple(names), source, unknown
        self.places = {name: i for i, name in enumerate(self.names)}
        self.register_buffer("mean", torch.zeros(len(self.names), 2))
        self.register_buffer("deviation", torch.ones(len(self.names), 2))

    def forward(self, speakers: Sequence[str], prosody: Seq | None = None) -> ProsodyScale:
        """B names -> their scales.

        Args:
            prosody: (B, T, 3) of the utterances; ``unknown="utterance"`` needs it for those that are not among the names.

        Raises:
            UserError: a name is not among them.
        """
        strange = sorted(set(speakers) - self.places.keys())
        if strange and (self.unknown == "refuse" or prosody is None):
            raise UserError(
                f"the prosody of {some(strange)} was not measured, only that of {some(self.names)}; run fit_prosody on cuts "
                "of all speakers, or let unknown be utterance"
            )
        rows = torch.tensor([self.places.get(name, 0) for name in speakers], device=self.mean.device)
        known = ProsodyScale(self.mean[rows], self.deviation[rows])
        if not strange or prosody is None:
            return known
        own = own_scale(prosody)
        there = torch.tensor([[name in self.places] for name in speakers], device=rows.device)
        return ProsodyScale(
            torch.where(there, known.mean, own.mean), torch.where(there, known.deviation, own.deviation)
        )


def fit_speaker_prosody(spoken: Iterable[tuple[Sequence[str], Seq]], source: str = "") -> SpeakerProsody:
    """The scales of the speakers in ``spoken``: batches of B names and their prosody (B, T, 3). Speakers without a voiced
    frame are left out.

    Args:
        source: fingerprint of that prosody.

    Raises:
        UserError: nobody has a voiced frame.
    """
    found: dict[str, Tensor] = {}
    for names, prosody in spoken:
        for name, row in zip(names, torch.stack(moments(prosody), 1).cpu(), strict=True):
            found[name] = found[name] + row if name in found else row
    kept = {name: found[name] for name in sorted(found) if found[name][0, 0] > 0}
    if not kept:
        raise UserError("no frame of this prosody is voiced, so there is nothing to measure; look at the audio")
    node = {"_target_": f"{__name__}.SpeakerProsody", "names": [*kept], "source": source}
    made: SpeakerProsody = build(node)
    scale = scale_of(*torch.stack([*kept.values()]).unbind(1))
    made.mean.copy_(scale.mean)
    made.deviation.copy_(scale.deviation)
    return made
