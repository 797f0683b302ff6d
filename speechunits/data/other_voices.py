"""The stored vectors of cuts, each that of another cut of the same speaker."""

from __future__ import annotations

from collections.abc import Sequence

from lhotse.cut import Cut
from lhotse.utils import fastcopy

from speechunits.data.cuts import open_cuts, write_cuts
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.unit_meta import read_meta
from speechunits.draws import draws
from speechunits.errors import UserError, some


def refer_to_others(path: str, field: str, seed: int = 0) -> None:
    """Rewrite the manifest ``path`` so that ``custom[field]`` of each cut is what was stored of another utterance of its
    speaker, drawn by (seed, cut id). A vocoder that learned from those cannot find in them what its own utterance says.

    Raises:
        UserError: a speaker has a single utterance.
    """
    cuts = open_cuts(path)
    speakers, rows = [SpeakerField().load(cut) for cut in cuts], dict[str, list[int]]()
    for row, speaker in enumerate(speakers):
        rows.setdefault(speaker, []).append(row)
    if alone := sorted(speaker for speaker, of in rows.items() if len(of) < 2):
        raise UserError(
            f"{path}: {len(alone)} of {len(rows)} speakers have one utterance, which no other can stand for ({some(alone)}); "
            "leave them out, or give reference=own"
        )

    def referring(row: int) -> Cut:
        cut = cuts[row]
        other = cuts[drawn(cut.id, row, rows[speakers[row]], seed)]
        return fastcopy(cut, custom={**cut.custom, field: other.custom[field]})

    write_cuts(path, map(referring, range(len(cuts))), read_meta(cuts.paths[0]))


def drawn(cut_id: str, own: int, rows: Sequence[int], seed: int) -> int:
    """One of ``rows`` that is not ``own``."""
    others = [row for row in rows if row != own]
    return others[int(draws([cut_id], seed).generator(0, "voice").integers(len(others)))]
