"""The only door to pocketsphinx. Its import is inside a function: it is optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from speechunits.data.cuts import Cuts
from speechunits.data.pairs import hear
from speechunits.data.transcripts import spoken_text, voice
from speechunits.errors import UserError, some
from speechunits.metrics.reading import Reading

RATE = 16000


class OutsideJudge:
    """A recogniser that nobody here has trained: pocketsphinx with the US English model and dictionary of its wheel.

    A Gaussian mixture model of 2014 or so on cepstra, with a trigram language model: far more errors than a network, but none
    that it shares with one. Everything is lower case. Each utterance is heard alone, with its own cepstral mean.

    Args:
        words: if given, nothing but these words is heard, each as likely as another, in any order and number, and no language
            model: for digits and other small vocabularies, which the model's own language never saw.
        single: of these words, one in each utterance.

    Raises:
        UserError: pocketsphinx is not installed, or a word is not in its dictionary.
        ValueError: ``single`` without words.
    """

    def __init__(self, words: Sequence[str] = (), single: bool = False) -> None:
        if single and not words:
            raise ValueError("single: one of which words? give words as well")
        self.decoder = _decoder(**({"lm": None} if words else {}))
        if not words:
            return
        spelled = sorted({word.lower() for word in words})
        if strange := [word for word in spelled if self.decoder.lookup_word(word) is None]:
            raise UserError(f"words: pocketsphinx has no pronunciation of {some(strange)}; leave them out")
        said = f"( {' | '.join(spelled)} ){'' if single else '+'}"
        self.decoder.add_jsgf_string("words", f"#JSGF V1.0; grammar words; public <said> = {said};")
        self.decoder.activate_search("words")

    def __call__(self, wave: Tensor) -> str:
        """What is heard in (S,) at 16 kHz; "" where it hears nothing."""
        if not len(wave):
            return ""
        samples = (wave.clamp(-1, 1) * 32767).round().short().numpy()
        self.decoder.start_utt()
        self.decoder.process_raw(samples.tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return found.hypstr if found is not None else ""

    def read(self, cuts: Cuts) -> list[Reading]:
        """Every cut with its text and what was heard.

        Raises:
            UserError: a cut cannot be read.
        """
        return [Reading(cut.id, spoken_text(cut), self(hear(cut, RATE)), *voice(cut)) for cut in cuts]


def _decoder(**options: Any) -> Any:
    try:
        from pocketsphinx import Decoder
    except ModuleNotFoundError as error:
        raise UserError(
            "pocketsphinx is not installed: pip install 'speechunits[judge]', or leave the outside judge out"
        ) from error
    # the mean of the whole utterance: the live one would make a result depend on what was heard before
    return Decoder(samprate=RATE, cmn="batch", loglevel="FATAL", **options)
