"""LabelTable: a learned vector for each speaker, style or other label."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.text.names import Names


class LabelTable(nn.Module):
    """A condition: the vector of an utterance's label beside each of its frames, as the speaker of speech resynthesis (Polyak
    et al. 2021, arXiv:2104.00355, section 3.1). Reads ``batch[field]``, a list of B names.

    Args:
        names: that have a vector (``recipes.list_names``).
        dim: of the vectors.
        field: of the names.
    """

    def __init__(self, names: Names, dim: int, field: str = "speaker") -> None:
        super().__init__()
        self.names, self.dim, self.field = names, dim, field
        self.vectors = nn.Embedding(len(names.names), dim)

    @property
    def labels(self) -> dict[str, str | None]:
        """Nothing that a tokenizer made."""
        return {}

    def forward(self, batch: Batch, frames: Seq) -> Tensor:
        """``frames`` (B, T, ...) -> (B, T, dim).

        Raises:
            UserError: a name has no vector.
        """
        numbers = self.names.numbers(batch[self.field], self.field).to(frames.data.device)
        return self.vectors(numbers)[:, None].expand(-1, frames.data.size(1), -1)  # type: ignore[no-any-return]
