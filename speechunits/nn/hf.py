"""The only door to transformers and its hub. All imports are inside functions: they take seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

MODELS = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and reports: what matters is said by who calls."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """All settings of a model of that kind (a key of ``MODELS``), defaults included."""
    import transformers

    with _quiet():
        config = getattr(transformers, f"{MODELS[kind]}Config").from_pretrained(folder, local_files_only=True)
    return dict(config.to_dict())


def write_model(
    folder: Path, kind: str, settings: Mapping[str, Any], weights: Mapping[str, Tensor], listens: Mapping[str, Any]
) -> None:
    """A folder that ``from_pretrained`` reads, with the feature extractor that ``listens`` says."""
    import transformers

    with _quiet():
        model = getattr(transformers, f"{MODELS[kind]}Model")(
            getattr(transformers, f"{MODELS[kind]}Config")(**settings)
        )
        model.load_state_dict(weights)
        model.save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(**listens).save_pretrained(folder)


def fetch_settings(name: str) -> Path:
    """The folder of a model of the hub with what is said of it, downloaded unless cached; the folder's name is the commit.

    Raises:
        OSError, ValueError: there is no network, or no such model.
    """
    from huggingface_hub import snapshot_download

    settings = ["config.json", "preprocessor_config.json", "processor_config.json"]
    return Path(snapshot_download(name, allow_patterns=settings))


def fetch_weights(name: str, folder: Path) -> None:
    """The weights into the ``folder`` that ``fetch_settings`` gave; raises the same."""
    from huggingface_hub import snapshot_download

    for weights in ("model*.safetensors*", "pytorch_model*.bin*"):  # the second only where there is no first
        if not any(folder.glob(weights)):
            snapshot_download(name, allow_patterns=[weights], revision=folder.name)
        if any(folder.glob(weights)):
            break
