"""Centroids that others fitted, as a KMeans: .npy and safetensors always, scikit-learn and joblib only where trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.quantizers.kmeans import KMeans

CONVERT = "import joblib, numpy; numpy.save('centroids.npy', joblib.load('{name}').cluster_centers_)"


def kmeans(centroids: Tensor, where: str) -> KMeans:
    """The quantizer with these centroids (K, D).

    Raises:
        UserError: they are not K vectors of D finite numbers.
    """
    if centroids.dim() != 2 or not centroids.numel() or not centroids.is_floating_point():
        raise UserError(
            f"{where}: holds {tuple(centroids.shape)} of {centroids.dtype}, not K centroids of D real numbers; "
            "save those as floats"
        )
    centroids = centroids.float()
    if not centroids.isfinite().all():
        raise UserError(f"{where}: a centroid is NaN or infinite; fit the k-means again")
    size, dim = centroids.shape
    made: KMeans = build({"_target_": f"{KMeans.__module__}.KMeans", "size": size}, dim=dim)
    made.centroids.copy_(centroids)
    return made.eval()


def read_npy(path: Path) -> Tensor:
    """An array of numpy, without the objects that such a file may carry.

    Raises:
        UserError: damaged, or it carries objects.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # else numpy allocates what the header says
        return torch.from_numpy(np.array(mapped))
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UserError(
            f"{path}: damaged, or no plain array of numbers ({error}); save it again with numpy.save"
        ) from error


def read_pickled(path: Path, trust: bool) -> Tensor:
    """Centroids of a k-means of scikit-learn, saved by joblib or pickle. Reading one runs what is in it.

    Raises:
        UserError: ``trust`` is False; joblib is not there; it holds something else.
    """
    if not trust:
        raise UserError(
            f"{path}: neither weights nor an array; if it is a k-means of scikit-learn, reading it runs what its author put "
            f'into it: give --trust-pickle if you trust them, or convert it: python -c "{CONVERT.format(name=path.name)}"'
        )
    try:
        import joblib
    except ImportError as error:
        raise UserError(f"{path}: needs joblib and scikit-learn; install them, or convert the file to .npy") from error
    try:
        value: Any = joblib.load(path)
    except Exception as error:  # what a pickle raises is up to the pickle
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: cannot be read by joblib ({type(error).__name__}: {why}); get the file again"
        ) from error
    centroids = getattr(value, "cluster_centers_", value)
    if not isinstance(centroids, np.ndarray):
        raise UserError(f"{path}: holds a {type(value).__name__}, not a fitted k-means; give one with cluster_centers_")
    return torch.from_numpy(np.ascontiguousarray(centroids))
