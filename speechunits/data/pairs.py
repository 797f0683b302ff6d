"""Pairs of what was recorded and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.field import BadAudio
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.relabelled import saying
from speechunits.data.transcripts import Transcript, spoken_text, voice
from speechunits.errors import UserError, some


@dataclass(frozen=True)
class Pair:
    """Two cuts that should say the same.

    Args:
        original: as it is in its manifest, with the words of ``transcripts`` where they are given.
        made: with the words and the language of the original and the speaker who should be heard.
        speaker: who that is, of the manifest of what was made, else who spoke the original; "" = unknown.
        source: who spoke the original.
    """

    original: Cut
    made: Cut
    speaker: str
    source: str


def pair_up(
    originals: Sequence[Cut],
    made: Sequence[Cut],
    names: tuple[str, str],
    transcripts: Mapping[str, Transcript] | None = None,
) -> list[Pair]:
    """Every cut of both by its id, in the order of ``made``.

    A cut that was made has the id of its original or, where there are several of one, names it in ``custom["original"]``.

    Args:
        names: of the two places, for the error messages.
        transcripts: id of an original -> what is said in it, in place of what its manifest says.

    Raises:
        UserError: one is alone, or an original has no transcript.
    """
    there = {cut.id: cut for cut in originals}
    wanted = {cut.id: str((cut.custom or {}).get("original", cut.id)) for cut in made}
    for alone, size, (name, beside) in (
        ([key for key, of in wanted.items() if of not in there], len(wanted), names[::-1]),
        (sorted(there.keys() - {*wanted.values()}), len(there), names),
    ):
        if alone:
            raise UserError(
                f"{name}: {len(alone)} of {size} have nothing of their id in {beside} ({some(alone)}); add it there, or leave "
                "them out here"
            )
    if transcripts is not None and (mute := sorted(there.keys() - transcripts.keys())):
        raise UserError(f"transcripts: {len(mute)} of {len(there)} originals have none ({some(mute)}); add them")
    return [_pair(there[wanted[cut.id]], cut, transcripts) for cut in made]


def _pair(original: Cut, made: Cut, transcripts: Mapping[str, Transcript] | None) -> Pair:
    said = Transcript(spoken_text(original)) if transcripts is None else transcripts[original.id]
    speaker, language = (new or old for old, new in zip(voice(original), said[1:], strict=True))
    target = voice(made)[0] or speaker
    told = saying(original, said.text, speaker, language), saying(made, said.text, target, language)
    return Pair(*told, target, speaker)


def hear(cut: Cut, rate: int = 16000) -> Tensor:
    """The samples (S,) of a cut.

    Raises:
        UserError: they cannot be read, or are not finite.
    """
    try:
        return AudioField(rate=rate).load(cut)
    except BadAudio as error:
        file = cut.recording.sources[0].source if cut.has_recording else "no recording"
        raise UserError(f"{cut.id} ({file}): cannot be read ({error}); make it again, or leave it out") from error
