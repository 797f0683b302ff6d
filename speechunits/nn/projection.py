"""From frontend features to the encoder's dimension."""

from __future__ import annotations

from torch import nn

from speechunits.seq import Seq


class FeatureProjection(nn.Module):
    """LayerNorm, linear map, dropout (wav2vec 2.0 and HuBERT between the CNN and the mask).

    Args:
        dropout: fairseq's ``dropout_input``.
        norm: whether the LayerNorm is there (DistilHuBERT, Chang et al. 2022, has none).
        dim_in, dim: supplied by the SpeechEncoder.
    """

    def __init__(self, dropout: float = 0.0, norm: bool = True, *, dim_in: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim_in) if norm else nn.Identity()
        self.linear, self.dropout = nn.Linear(dim_in, dim), nn.Dropout(dropout)

    def forward(self, x: Seq) -> Seq:
        """(B, T, dim_in) -> (B, T, dim)."""
        return x.with_data(self.dropout(self.linear(self.norm(x.data))))
