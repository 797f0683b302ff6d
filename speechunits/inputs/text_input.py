"""TextInput: text to vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.errors import UserError
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq, pad
from speechunits.stream import Stream


class TextInput(nn.Module):
    """A learned vector for each symbol of a text, and all that turns a sentence into symbols, so that a finished model reads
    text as its training did. Reads ``batch[field]``, (B, L) ids of ``text``.

    Args:
        text: tokenizer, the one that made ``batch[field]`` (``text.characters``, ``text.phonemes``, ``text.subwords``).
        dim: of the vectors.
        normaliser: how sentences are spelled before, the one of the field; None = as they are written.
        positions: (B, L, D) -> what is added with a learned weight (Li et al. 2019, arXiv:1809.08895, eq. 3), filled with
            ``dim``: behind an encoder of relative positions, a decoder can tell two equal words apart by nothing else. None =
            nothing.
        field: of the ids.
        dropout: of the vectors.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field, or ids of another tokenizer.
    """

    hop = None

    def __init__(
        self,
        text: nn.Module,
        dim: int,
        normaliser: Callable[[str, str | None], str] | None = None,
        positions: Part[nn.Module] | None = None,
        field: str = "text",
        dropout: float = 0.0,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        found = streams[field].fingerprint if field in streams else "none"
        if found != text.fingerprint:
            raise ValueError(
                f"text: the tokenizer is {text.fingerprint}, and the data's field '{field}' has {found}; name one in both"
            )
        self.text, self.dim, self.field, self.normaliser = text, dim, field, normaliser
        self.vectors, self.dropout = nn.Embedding(text.stream.vocab[0], dim), nn.Dropout(dropout)
        self.positions = None if positions is None else fill(positions, dim=dim)
        if positions is not None:
            self.scale = nn.Parameter(torch.ones(()))

    @property
    def labels(self) -> dict[str, str | None]:
        """The text must be encoded by ``text`` (see ``protocols.Finishes``)."""
        return {self.field: self.text.fingerprint}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) symbols."""
        return batch[self.field].lengths  # type: ignore[no-any-return]

    @staticmethod
    def edges(batch: Batch) -> None:
        """Text knows no time."""
        return None

    def read(self, sentences: Sequence[str], language: str | None = None) -> Seq:
        """Sentences -> ids (B, L).

        Raises:
            UserError: one of them has nothing to say, or a symbol that the tokenizer does not have, which is named.
        """
        rows = []
        for sentence in sentences:
            spelled = sentence if self.normaliser is None else self.normaliser(sentence, language)
            ids = self.text.encode(spelled)
            if not len(ids):
                raise UserError(f"{sentence[:60]!r} has nothing that can be said; give text with letters")
            rows.append(ids)
        if not rows:
            raise UserError("there is no text to say; give some")
        return pad(rows, None)

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, L, dim), zeros on padding. ``draws`` are not needed, nothing is hidden."""
        ids: Seq = batch[self.field]
        x = self.vectors(ids.data.clamp(min=0))
        if self.positions is not None:
            x = x + self.scale * self.positions(x)
        return ids.with_data(self.dropout(x) * ids.valid[..., None])
