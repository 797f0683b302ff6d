"""SoftUnitInput: a distribution over units to frames of features."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class SoftUnitInput(nn.Module):
    """The mean of the vectors of all units, weighed by how likely each of them is at a frame, so that what lies between two
    units is not lost: soft units, van Niekerk et al. 2022, arXiv:2111.02392, section 3.2. As one unit becomes certain, what
    ``UnitInput`` gives of it.

    Args:
        dim: of the vectors.
        features: batch to frames of features (``FeatureInput`` of stored ones, ``EncoderInput`` of live ones), filled with
            ``streams``.
        predictor: features to scores of the units, a head: ``Nearness`` to the centroids of a tokenizer, or a ``LinearHead``
            that learns; filled with ``dim`` and ``vocab``.
        field: of the units whose codes a head that learns is to tell apart.
        dropout: of the vectors.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the scores are not those of one codebook.
    """

    def __init__(
        self,
        dim: int,
        features: Part[nn.Module],
        predictor: Part[nn.Module],
        field: str = "units",
        dropout: float = 0.0,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.features = fill(features, streams=streams)
        vocab = streams[field].vocab if field in streams else ()
        self.predictor = fill(predictor, dim=self.features.dim, vocab=vocab)
        if len(self.predictor.vocab) != 1:
            raise ValueError(
                f"soft units have one codebook, and there are {len(self.predictor.vocab)} in the data's field '{field}'"
            )
        self.embeddings = nn.ModuleList([nn.Embedding(self.predictor.vocab[0], dim)])
        self.dropout = nn.Dropout(dropout)
        self.dim, self.hop = dim, self.features.hop

    @property
    def labels(self) -> dict[str, str | None]:
        """Those of the features (see ``protocols.Finishes``)."""
        return self.features.labels  # type: ignore[no-any-return]

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.features.lengths(batch)  # type: ignore[no-any-return]

    def edges(self, batch: Batch) -> Tensor | None:
        """(B, T + 1) seconds at which those frames begin, and the last one ends."""
        return self.features.edges(batch)  # type: ignore[no-any-return]

    def shares(self, x: Tensor) -> Tensor:
        """(B, T, D) features -> (B, T, V): how likely each unit is."""
        (scores,) = self.predictor(x.flatten(0, 1))
        return scores.softmax(-1).unflatten(0, x.shape[:2])  # type: ignore[no-any-return]

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: those of the features."""
        x: Seq = self.features(batch, draws)
        vectors = self.shares(x.data) @ self.embeddings[0].weight
        return x.with_data(self.dropout(vectors) * x.valid[..., None])
