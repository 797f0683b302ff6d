"""Shallow fusion: a language model and a bonus for each symbol beside the scores of a search."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.decode.hypothesis import Search
from speechunits.errors import UserError


class Fusion(nn.Module):
    """``weight`` log P(symbol | symbols before) + ``bonus`` for each symbol, and the end's (Hannun et al. 2014, eq. 2).

    Args:
        lm: of the text's symbols: ``NGram``, or what has its ``vocab``, ``begin``, ``score`` and ``text``; None = none.
        weight: of the language model's logarithm.
        bonus: for each symbol, in nats; positive ones counter the language model's liking for short texts.

    Raises:
        ValueError: the weight is negative, or ``lm`` is something else.
    """

    def __init__(self, lm: nn.Module | None = None, weight: float = 0.5, bonus: float = 0.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError("weight: of the language model, not below 0")
        if lm is not None and not all(hasattr(lm, name) for name in ("vocab", "begin", "score", "text")):
            raise ValueError(f"lm: a {type(lm).__name__} is no language model; give out/ngram of the recipe fit_ngram")
        self.lm, self.weight, self.bonus = lm, weight, bonus

    def begin(self, shape: tuple[int, ...], vocab: int, device: torch.device) -> Tensor:
        """States before the first symbol.

        Raises:
            UserError: the language model has other symbols than the head.
        """
        if self.lm is not None and self.lm.vocab != (vocab,):
            raise UserError(
                f"decode.Fusion: the language model has {self.lm.vocab[0]} symbols and the head {vocab}; fit it with the "
                "text tokenizer of the recogniser"
            )
        return torch.full(shape, 0 if self.lm is None else self.lm.begin, device=device)

    def score(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """States (...) and symbols (..., K) -> what each adds, and the states after it, both (..., K)."""
        if self.lm is None:
            return symbols.new_full((), self.bonus, dtype=torch.float64).expand(symbols.shape), torch.zeros_like(
                symbols
            )
        found, states = self.lm.score(states, symbols)
        return self.weight * found.double() + self.bonus, states

    def end(self, states: Tensor) -> Tensor:
        """What the end of the text adds in each state (...)."""
        if self.lm is None:
            return torch.zeros(states.shape, dtype=torch.float64, device=states.device)
        found, _ = self.lm.score(states, torch.full_like(states, self.lm.vocab[0])[..., None])
        return self.weight * found[..., 0].double()


def check_text(search: Search, fingerprint: str) -> None:
    """See that the language models and graphs of a search were made with the text tokenizer of that fingerprint.

    Raises:
        UserError: one was not.
    """
    for part in search.modules() if isinstance(search, nn.Module) else ():
        if hasattr(part, "check_text"):
            part.check_text(fingerprint)
        lm = part.lm if isinstance(part, Fusion) else None
        if lm is not None and lm.text != fingerprint:
            raise UserError(
                f"search: its language model was fitted with the text tokenizer {lm.text}, and the recogniser writes with "
                f"{fingerprint}; fit it again (recipe fit_ngram with the tokenizer of the recogniser)"
            )
