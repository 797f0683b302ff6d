"""KMeans: the nearest of a fixed set of centroids, and the one function that decides which is nearest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.seq import Seq

BLOCK = 512  # frames per matrix product: measured as fast as 4096, and a short utterance fills few rows with zeros
CHUNK = 8 * BLOCK  # frames whose scores, or float64 copies, are held at once


def nearest(frames: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centroid of each frame in Euclidean distance: the least ``|c|^2 / 2 - x.c``, first of equals.

    Every product has exactly ``BLOCK`` rows (the last is filled with zeros), because a matrix library may add in
    another order for another shape: so the code of a frame depends on that frame alone. Float32 also under autocast.

    Args:
        frames: (N, D).
        centroids: (K, D) float32.

    Returns:
        codes (N,) int64 and squared distances (N,) float32.
    """
    codes = torch.empty(len(frames), dtype=torch.int64, device=frames.device)
    distances = torch.empty(len(frames), dtype=torch.float32, device=frames.device)
    with torch.no_grad(), torch.autocast(frames.device.type, enabled=False):
        offset = centroids.pow(2).sum(1) / 2
        for start in range(0, len(frames), CHUNK):
            rows = frames[start : start + CHUNK].float()
            missing = -len(rows) % BLOCK
            filled = nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows
            scores = filled.new_empty(len(filled), len(centroids))
            for b in range(0, len(filled), BLOCK):
                torch.addmm(offset, filled[b : b + BLOCK], centroids.T, alpha=-1, out=scores[b : b + BLOCK])
            scores = scores[: len(rows)]
            # numpy's is 4 to 10 times as fast as torch's on a CPU, where it would cost as much as the product
            best = torch.from_numpy(scores.numpy().argmin(1)) if scores.device.type == "cpu" else scores.argmin(1)
            codes[start : start + CHUNK] = best
            least = scores.gather(1, best[:, None])[:, 0]
            squares = torch.linalg.vector_norm(rows, dim=1).square()
            distances[start : start + CHUNK] = (2 * least + squares).clamp_(min=0)
    return codes, distances


class KMeans(nn.Module):
    """A fitted k-means codebook (``KMeansFitter`` fits it; HuBERT, Hsu et al. 2021, arXiv 2106.07447, II-A).

    Codes are exact in float32; where a program allows TF32 (``torch.set_float32_matmul_precision``) frames that lie
    between two centroids may change theirs.

    Args:
        size: number of clusters K.
        dim: feature size D, supplied by the parent.
    """

    centroids: Tensor

    def __init__(self, size: int, *, dim: int) -> None:
        super().__init__()
        self.vocab = (size,)
        self.register_buffer("centroids", torch.zeros(size, dim))

    def forward(self, x: Seq) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """x (B, T, D) -> vectors (B, T, 1, D), 0 on padding; codes (B, T, 1) int64, -1 on padding; no extras."""
        codes = self.codes(x).data
        vectors = self.centroids[codes.clamp(min=0)] * x.valid[..., None]
        return vectors[:, :, None], codes[:, :, None], {}

    def codes(self, x: Seq) -> Seq:
        """x (B, T, D) -> the code of every frame, (B, T) int64, -1 on padding.

        Raises:
            ValueError: the features do not have the centroids' size.
        """
        if x.data.dim() != 3 or x.data.size(2) != self.centroids.size(1):
            size = self.centroids.size(1)
            raise ValueError(f"KMeans has centroids of size {size}: it cannot read features {tuple(x.data.shape)}")
        valid = x.valid
        codes = torch.full(valid.shape, -1, dtype=torch.int64, device=x.data.device)
        codes[valid] = nearest(x.data[valid], self.centroids)[0]
        return x.with_data(codes)
