"""Cuts that are to be said in other voices than their own."""

from __future__ import annotations

from collections.abc import Iterator

from lhotse.cut import Cut
from lhotse.utils import fastcopy

from speechunits.data.cuts import Cuts
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.relabelled import saying
from speechunits.data.transcripts import spoken_text, voice
from speechunits.draws import draws
from speechunits.errors import UserError, some

OTHER = "other"


def lend_voices(cuts: Cuts, lenders: Cuts, speaker: str = OTHER, field: str = "voice", seed: int = 0) -> Iterator[Cut]:
    """Each cut as if ``speaker`` had said it: with that name and, where it is stored, the vector of one of the speaker's
    utterances under ``custom[field]``.

    Args:
        lenders: utterances of the speakers whose voices are lent.
        speaker: one of them, or "other", for each cut another speaker than its own. That one and the utterance are drawn by
            (seed, cut id).

    Raises:
        UserError: ``lenders`` has no such speaker, or nobody but the cut's own.
    """
    rows: dict[str, list[int]] = {}
    for row, cut in enumerate(lenders):
        rows.setdefault(SpeakerField().load(cut), []).append(row)
    if speaker != OTHER and speaker not in rows:
        where = ", ".join(map(str, lenders.paths))
        raise UserError(f"{where}: has no utterance of {speaker}; it has {some(sorted(rows), 10)}")
    for cut in cuts:
        own, language = voice(cut)
        names = sorted(rows.keys() - {own}) if speaker == OTHER else [speaker]
        if not names:
            raise UserError(f"the cut {cut.id} is said by {own}, and there is no other speaker; give voices of more")
        draw = draws([cut.id], seed).generator(0, "lent voice")
        name = names[int(draw.integers(len(names)))]
        lender = lenders[rows[name][int(draw.integers(len(rows[name])))]]
        lent = {field: lender.custom[field]} if field in (lender.custom or {}) else {}
        said = saying(cut, spoken_text(cut), name, language)
        yield fastcopy(said, custom={**(cut.custom or {}), **lent})
