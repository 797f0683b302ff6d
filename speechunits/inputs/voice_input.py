"""VoiceInput: a vector of the speaker beside each frame."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class VoiceInput(nn.Module):
    """A condition: a linear map of a vector of each utterance, as a speaker encoder gives it for any voice. Reads
    ``batch[field]``, (B, dim_in).

    Args:
        dim_in: of the vectors.
        dim: of the condition.
        field: of the vectors.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has vectors of another size.
    """

    def __init__(self, dim_in: int, dim: int, field: str = "voice", *, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        self.dim, self.field = dim, field
        stream = streams.get(field)
        if stream is not None and stream.shape != (dim_in,):
            raise ValueError(
                f"dim_in = {dim_in}, but the data's {field} has the shape {list(stream.shape)}; make them equal"
            )
        self.labels: dict[str, str | None] = {} if stream is None else {field: stream.fingerprint}
        self.linear = nn.Linear(dim_in, dim)

    def forward(self, batch: Batch, frames: Seq) -> Tensor:
        """``frames`` (B, T, ...) -> (B, T, dim)."""
        return self.linear(batch[self.field])[:, None].expand(-1, frames.data.size(1), -1)  # type: ignore[no-any-return]
