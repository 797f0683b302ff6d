"""What can be imported, told by looking at it: folders of transformers, checkpoints, weights, centroids, names of the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from speechunits import store
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.exchange.architecture import Found, build_encoder, build_head
from speechunits.exchange.centroids import kmeans, read_npy, read_pickled
from speechunits.exchange.fairseq_checkpoint import read_fairseq
from speechunits.exchange.inert_pickle import is_checkpoint
from speechunits.exchange.names import dialect, to_ours
from speechunits.exchange.transformers_folder import kind_of, read_folder
from speechunits.exchange.weights_file import read_tensors
from speechunits.nn import hf
from speechunits.quantizers.kmeans import KMeans


@dataclass(frozen=True)
class Imported:
    """A foreign model as ours.

    Args:
        encoder: built and in eval mode.
        head: HuBERT's output layer, a ``CosineHead`` of K codes; None where there is none.
        kind: what it was.
        left: names of weights that have no place here (heads of other objectives).
        derived_from: fingerprints of ours that it was made from.
    """

    encoder: SpeechEncoder
    head: nn.Module | None
    kind: str
    left: list[str]
    derived_from: list[str]

    def save(self, folder: str | Path) -> str:
        """Write the encoder as a folder; its fingerprint."""
        facts = {"kind": "encoder", "imported_from": self.kind, "left_out": self.left}
        return store.save(self.encoder, folder, derived_from=self.derived_from, **facts)


# What the hub can have: a name, or an owner and a name; neither a path that goes deeper nor a file.
_ON_HUB = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_FILES = (".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pkl", ".pt", ".pth", ".safetensors")


def _of_hub(name: str) -> Path:
    """The cached folder of a model of the hub; what cannot be imported is refused before its weights are fetched."""
    if not _ON_HUB.fullmatch(name) or name.endswith(_FILES):
        raise UserError(f"{name}: there is no such file or folder; check the path")
    try:
        folder = hf.fetch_settings(name)
        kind_of(folder, name)
        hf.fetch_weights(name, folder)
    except UserError:
        raise
    except (OSError, ValueError) as error:  # no network, no such model, no such name
        why = " ".join(str(error).split())[:120]
        raise UserError(
            f"{name}: no file or folder here, and not to be had from the hub ({why}); check the path, or the network"
        ) from error
    return folder


def _weights(value: Any) -> dict[str, Tensor]:
    items = value.items() if isinstance(value, Mapping) else ()
    return {n: t for n, t in items if isinstance(n, str) and isinstance(t, Tensor)}


def find(source: str | Path, trust_pickle: bool = False) -> Found | KMeans:
    """Look at ``source`` and read it. Only a name that is no path here is looked for on the hub.

    Args:
        source, trust_pickle: see ``read``.

    Raises:
        UserError: one sentence about what is wrong with it.
    """
    path, where = Path(source), str(source)
    if path.is_dir():
        if (path / "meta.json").is_file():
            raise UserError(f"{where}: is a folder of speechunits already; use it as it is")
        return read_folder(path, where)
    if not path.is_file():
        found = read_folder(folder := _of_hub(where), where)
        return replace(found, kind=f"{found.kind}, {folder.name}")  # the commit
    if path.suffix == ".npy":
        return kmeans(read_npy(path), where)
    if path.suffix != ".safetensors" and not is_checkpoint(path):
        return kmeans(read_pickled(path, trust_pickle), where)
    value = read_tensors(path)
    if isinstance(value, Mapping) and isinstance(value.get("model"), Mapping):
        return read_fairseq(value, where)
    weights = _weights(value)
    kind, *_ = dialect(weights) or [None]
    if kind is None:
        centroids = [value] if isinstance(value, Tensor) else list(weights.values())
        if len(centroids) != 1:
            raise UserError(f"{where}: neither a model of the HuBERT family nor one tensor of centroids")
        return kmeans(centroids[0], where)
    if kind == "transformers":
        raise UserError(f"{where}: weights of transformers without their config.json; give the folder of both")
    if kind == "fairseq":
        return read_fairseq({"model": weights}, where)
    ours, left = to_ours(weights, where)
    return Found(where, kind, ours, usual=True, left=left)


def read(source: str | Path, trust_pickle: bool = False, **asked: Any) -> Imported | KMeans:
    """A foreign model or codebook as ours, whichever it is.

    Args:
        source: a folder of transformers, a checkpoint of fairseq, weights of torchaudio, a name on the hub, or centroids
            (.npy, safetensors, a tensor of torch).
        trust_pickle: read centroids of scikit-learn too, which runs what is in the file.
        asked: ``Numbers`` that the source does not tell.

    Raises:
        UserError: see ``find``, ``settle`` and ``build_encoder``.
    """
    found = find(source, trust_pickle)
    if isinstance(found, KMeans):
        return found
    encoder = build_encoder(found, asked)
    return Imported(encoder, build_head(found), found.kind, list(found.left), list(found.derived_from))


def read_model(source: str | Path, **asked: Any) -> Imported:
    """``read``, where an encoder is needed.

    Raises:
        UserError: see ``read``; or the source holds centroids.
    """
    found = read(source, **asked)
    if isinstance(found, KMeans):
        raise UserError(f"{source}: holds centroids, and an encoder is needed here")
    return found


def read_quantizer(source: str | Path, trust_pickle: bool = False) -> KMeans:
    """``read``, where a codebook is needed.

    Raises:
        UserError: see ``read``; or there is no such file, or it holds a model.
    """
    if not Path(source).is_file():
        raise UserError(f"{source}: there is no such file; give centroids as .npy or .safetensors, or a folder of ours")
    found = find(source, trust_pickle)
    if not isinstance(found, KMeans):
        raise UserError(f"{source}: holds a model, and centroids are needed here")
    return found
