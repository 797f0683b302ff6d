"""An n-gram language model as tensors, asked for many histories at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.decode.arpa import BEGIN, END, UNKNOWN, Gram, Level, read_arpa
from speechunits.errors import UserError


class NGram(nn.Module):
    """Back-off model (Katz 1987) over the symbols of a text tokenizer: a graph of histories, found by binary search.

    A state is the longest history of which the model knows a continuation. Its symbols are the tokenizer's, whose ids stand in
    ARPA files as numbers; V is the end of the text. Words are modelled by word graphs (``decode.lattice``), not here.
    As an artefact it carries its buffers, so that a recogniser saved with it needs no ARPA file.

    Args:
        order: longest n-gram.
        states, arcs: how many histories and n-grams it has; ``read_ngram`` fills them in.
        begin: state before the first symbol.
        vocab: of the text; one codebook.
        text: fingerprint of the text tokenizer.
    """

    keys: Tensor
    scores: Tensor
    goals: Tensor
    weights: Tensor
    shorter: Tensor

    def __init__(self, order: int, states: int, arcs: int, begin: int, vocab: Sequence[int], text: str) -> None:
        super().__init__()
        self.order, self.begin, self.vocab, self.text = order, begin, tuple(vocab), text
        self.register_buffer("keys", torch.zeros(arcs, dtype=torch.int64))  # state * (V + 1) + symbol, ascending
        self.register_buffer("scores", torch.zeros(arcs))
        self.register_buffer("goals", torch.zeros(arcs, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(states))  # of backing off
        self.register_buffer("shorter", torch.zeros(states, dtype=torch.int64))  # history without its first symbol

    def score(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """States (...) and symbols 0 .. V (..., K) -> log P(symbol | history), and the state after it, both (..., K).

        State 0, the empty history, has all symbols, where every search ends.
        """
        at = states[..., None].expand(symbols.shape)
        found, goals = torch.zeros(symbols.shape, device=symbols.device), torch.zeros_like(symbols)
        sought = torch.ones_like(symbols, dtype=torch.bool)
        for _ in range(self.order):
            key = at * (self.vocab[0] + 1) + symbols
            place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
            hit = sought & (self.keys[place] == key)
            goals = torch.where(hit, self.goals[place], goals)
            sought = sought & ~hit
            found = found + torch.where(hit, self.scores[place], torch.where(sought, self.weights[at], 0.0))
            at = self.shorter[at]
        return found, goals


def read_ngram(path: str | Path, text: nn.Module) -> NGram:
    """The model in an ARPA file whose symbols are ids of the text tokenizer ``text``.

    A symbol that the file does not have gets the probability of ``<unk>``.

    Raises:
        UserError: no ARPA file, of other symbols, or without some of the tokenizer's and without ``<unk>``.
    """
    levels, (size,) = read_arpa(path), text.stream.vocab
    number = {str(i): i for i in range(size)} | {END: size}
    words = {word for level in levels for gram in level for word in gram}
    if strange := sorted(words - {*number, BEGIN, UNKNOWN}):
        raise UserError(
            f"{path}: '{strange[0]}' is not the number of one of the {size} symbols of the text tokenizer {text.fingerprint}; "
            "fit the model on ids (recipe fit_ngram with tokenizer=...)"
        )
    grams = {gram: values for level in levels for gram, values in level.items() if UNKNOWN not in gram}
    for word in number:
        if (word,) not in grams and (UNKNOWN,) not in (levels[0] if levels else ()):
            raise UserError(f"{path}: has neither the symbol '{word}' nor <unk>; fit it with the tokenizer in use")
        if (word,) not in grams:
            grams[word,] = (levels[0][UNKNOWN,][0], 0.0)
    return _model(grams, len(levels), number, text.fingerprint)


def _model(grams: Level, order: int, number: dict[str, int], text: str) -> NGram:
    known = {g[:-1] for g in grams if len(g) > 1} | {g for g, (_, weight) in grams.items() if weight}
    histories = {(): 0} | {h: i for i, h in enumerate(sorted(known), 1)}

    def state(gram: Gram) -> int:
        """Of the longest history that ends ``gram``; those that the model does not know back off for nothing."""
        return next(histories[gram[k:]] for k in range(len(gram) + 1) if gram[k:] in histories)

    log10 = math.log(10)
    arcs = sorted(
        (histories[gram[:-1]] * len(number) + number[gram[-1]], value * log10, state(gram) if gram[-1] != END else 0)
        for gram, (value, _) in grams.items()
        if gram[-1] != BEGIN
    )
    size = {"states": len(histories), "arcs": len(arcs), "begin": state((BEGIN,)), "vocab": [len(number) - 1]}
    made: NGram = build({"_target_": f"{NGram.__module__}.NGram", "order": order, **size, "text": text})
    if made.keys.is_meta:
        return made
    made.keys, made.scores, made.goals = (torch.tensor(each) for each in zip(*arcs, strict=True))
    made.weights = torch.tensor([grams[h][1] * log10 if h in grams else 0.0 for h in histories])
    made.shorter = torch.tensor([state(h[1:]) for h in histories])
    return made
