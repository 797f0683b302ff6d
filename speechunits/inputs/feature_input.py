"""FeatureInput: stored vectors as they are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.inputs.preparation import Preparation
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class FeatureInput(nn.Module):
    """Vectors that ``recipes.extract_features`` wrote, so that training needs no pre-trained encoder. Reads ``batch[field]``.

    Args:
        read: joins layers where several were stored (``WeightedSum``, ``LayerConvolution``), filled with ``depth`` (one less
            than there are) and ``dim``.
        norm, augment, subsampling: see ``Preparation``.
        field: of the vectors.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field, or ``read`` and the number of stored layers do not fit.
    """

    def __init__(
        self,
        read: Part[nn.Module] | None = None,
        norm: Part[nn.Module] | None = None,
        augment: Part[nn.Module] | None = None,
        subsampling: Part[nn.Module] | None = None,
        field: str = "features",
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        there = {name: stream for name, stream in streams.items() if stream.shape}
        if field not in there:
            raise ValueError(f"the data has no field '{field}' of vectors; it has: {', '.join(there) or 'none'}")
        self.field, self.stream = field, there[field]
        *layers, dim = self.stream.shape
        if bool(layers) != (read is not None):
            held = f"{layers[0]} layers" if layers else "one layer"
            raise ValueError(f"the field '{field}' holds {held}: {'give' if layers else 'leave out'} a part for read")
        self.joined = None if read is None else fill(read, depth=layers[0] - 1, dim=dim)
        assert self.stream.hop is not None
        self.prepare = Preparation(
            norm, augment, subsampling, dim=int(getattr(self.joined, "dim", dim)), hop=self.stream.hop
        )
        self.dim, self.hop = self.prepare.dim, self.prepare.hop

    @property
    def labels(self) -> dict[str, str | None]:
        """The vectors must be those that it was made for (see ``protocols.Finishes``)."""
        return {self.field: self.stream.fingerprint}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.prepare.frames(batch[self.field].lengths)

    def edges(self, batch: Batch) -> Tensor:
        """(B, T + 1) seconds at which those frames begin, and the last one ends."""
        return self.prepare.edges(batch[self.field].lengths)

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        x: Seq = batch[self.field]
        if self.joined is not None:
            x = x.with_data(self.joined(x.data.unbind(2)))
        return self.prepare(x, draws)  # type: ignore[no-any-return]
