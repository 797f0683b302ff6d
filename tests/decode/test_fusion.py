"""Fusion: what a language model and a bonus add, and models of another text."""

from __future__ import annotations

import pytest
import torch

from speechunits.decode.ctc_beam import CTCBeam
from speechunits.decode.fusion import Fusion, check_text
from speechunits.decode.greedy import Greedy
from speechunits.errors import UserError
from speechunits.text.characters import Characters
from tests.decode.letters import letter_model


def test_weighted_sums() -> None:
    lm = letter_model("abc", ["abca", "cb"], 2)
    fusion = Fusion(lm, weight=0.5, bonus=0.25)
    states = fusion.begin((2, 3), 3, torch.device("cpu"))
    assert states.tolist() == [[lm.begin] * 3] * 2
    symbols = torch.arange(3).expand(2, 3, 3)
    adds, after = fusion.score(states, symbols)
    found, then = lm.score(states, symbols)
    torch.testing.assert_close(adds, 0.5 * found.double() + 0.25)
    assert after.equal(then)
    end = lm.score(after, torch.full((2, 3, 3, 1), 3))[0][..., 0]
    torch.testing.assert_close(fusion.end(after), 0.5 * end.double())  # no bonus for the end


def test_a_bonus_alone() -> None:
    fusion = Fusion(bonus=-1.5)
    states = fusion.begin((2,), 4, torch.device("cpu"))
    adds, after = fusion.score(states, torch.arange(4).expand(2, 4))
    assert (
        adds.tolist() == [[-1.5] * 4] * 2 and after.tolist() == [[0] * 4] * 2 and fusion.end(states).tolist() == [0, 0]
    )


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="weight: of the language model, not below 0"):
        Fusion(weight=-0.1)
    with pytest.raises(
        ValueError, match="lm: a Characters is no language model; give out/ngram of the recipe fit_ngram"
    ):
        Fusion(Characters("abc"))
    lm, name = letter_model("abc", ["abca"], 2), Characters("abc").fingerprint
    for search in (Greedy(), CTCBeam(), CTCBeam(fusion=Fusion(lm))):
        check_text(search, name)
    with pytest.raises(UserError, match=f"fitted with the text tokenizer {name}, and the recogniser writes with other"):
        check_text(CTCBeam(fusion=Fusion(lm)), "other")
