"""How well a language model expects texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from speechunits.decode.arpa import UNKNOWN
from speechunits.decode.backoff_model import BackoffModel
from speechunits.errors import UserError


def perplexity(model: BackoffModel, sentences: Iterable[Sequence[str]]) -> float:
    """Per word, the ends of sentences included; words that the model does not know are ``<unk>``.

    Raises:
        UserError: there is no sentence.
    """
    total, count = 0.0, 0
    for sentence in sentences:
        total += model.score([word if word in model else UNKNOWN for word in sentence])
        count += len(sentence) + 1
    if not count:
        raise UserError("valid: no text to measure the perplexity of; give manifests with transcripts")
    return math.exp(-total / count)
