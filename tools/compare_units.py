"""Units of real speech, ours against transformers: the same random model in both, utterance by utterance.

    python -m tools.compare_units FOLDER_OF_AUDIO [--kind wavlm] [--size base] [--utterances 50]

A model of transformers with random weights is written to a temporary folder. transformers itself extracts the features
of every utterance, one by one; centroids are drawn from them, and the nearest is found in float64 by numpy. The folder is
then imported, and our tokenizer encodes the same files. Last, ours is exported and loaded by transformers again.
Exits with 1 if any unit differs, or a hidden state by more than 1e-5 of its layer's largest value. Frames whose two
nearest centroids lie closer together than float32 can tell are counted apart, as ``undecided``, where units differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from speechunits.data.read_audio import read_audio
from speechunits.exchange.source import read_model
from speechunits.exchange.transformers_folder import write_folder
from speechunits.nn.hf import MODELS
from speechunits.units.tokenizer import UnitTokenizer

BASE: dict[str, Any] = {}
LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True,
}  # fmt: skip
SMALL = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128,
    "conv_dim": [32] * 7, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
TELLS = 2.0**-20  # of the squared lengths: float32's 2^-24, and what sums of many products lose
SIZES = {"small": SMALL, "small-large": {**LARGE, **SMALL}, "base": BASE, "large": LARGE}


def random_folder(kind: str, size: str, folder: Path) -> Path:
    """A model of transformers with random weights, larger than at initialisation so that frames differ."""
    torch.manual_seed(0)
    settings = SIZES[size] if kind != "data2vec-audio" else {k: v for k, v in SIZES[size].items() if "norm" not in k}
    config = getattr(transformers, f"{MODELS[kind]}Config")(**settings)
    model = getattr(transformers, f"{MODELS[kind]}Model")(config)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn(p.shape))
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def hidden(model: Any, extractor: Any, path: Path) -> list[np.ndarray]:
    """Every hidden state (T, D) of one utterance, as transformers' documentation has it."""
    samples = read_audio(path).data[0].numpy()
    x = extractor(samples, sampling_rate=16000, return_tensors="pt").input_values
    with torch.inference_mode():
        return [state[0].numpy() for state in model(x, output_hidden_states=True).hidden_states]


def load(kind: str, folder: Path) -> tuple[Any, Any]:
    model = getattr(transformers, f"{MODELS[kind]}Model").from_pretrained(folder).eval()
    return model, transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)


def compare(audio: list[Path], kind: str, size: str, codes: int = 100) -> dict[str, float]:
    """Figures: utterances, frames, codes in use, units that differ, and the largest difference of a hidden state."""
    with tempfile.TemporaryDirectory() as place:
        folder = random_folder(kind, size, Path(place) / "theirs")
        model, extractor = load(kind, folder)
        layer = model.config.num_hidden_layers // 2
        features = [hidden(model, extractor, path)[layer].astype(np.float64) for path in audio]
        every = np.concatenate(features)
        centroids = every[np.random.default_rng(0).choice(len(every), codes, replace=False)]
        np.save(Path(place) / "km.npy", centroids)
        distances = [(x**2).sum(1, keepdims=True) - 2 * x @ centroids.T + (centroids**2).sum(1) for x in features]
        expected = [d.argmin(1) for d in distances]

        tokenizer = UnitTokenizer.from_pretrained(folder, layer, Path(place) / "km.npy")
        found = [np.array(tokenizer.encode(read_audio(path)).lists()[0]) for path in audio]
        differ = undecided = 0
        for x, d, a, b in zip(features, distances, expected, found, strict=True):
            assert len(a) == len(b), "another number of frames"
            rows = np.flatnonzero(a != b)
            close = d[rows, b[rows]] - d[rows, a[rows]] < TELLS * (
                (x[rows] ** 2).sum(1) + (centroids[a[rows]] ** 2).sum(1)
            )
            undecided += int(close.sum())
            differ += int((~close).sum())

        read_model(folder).save(Path(place) / "ours")
        back = write_folder(Path(place) / "ours", Path(place) / "again")
        again, extractor = load(back, Path(place) / "again")
        worst = 0.0
        for path in audio[:5]:
            for a, b in zip(hidden(model, extractor, path), hidden(again, extractor, path), strict=True):
                worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
            ours = tokenizer.features.source(read_audio(path)).hidden.layers
            for a, b in zip(hidden(model, extractor, path), ours, strict=True):
                worst = max(worst, float(np.abs(a - b[0].detach().numpy()).max() / np.abs(a).max()))
    used = len(set(np.concatenate(expected).tolist()))
    counts = {"utterances": len(audio), "frames": len(every), "codes_in_use": used}
    return {**counts, "differ": differ, "undecided": undecided, "worst_hidden_difference": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="searched for .flac and .wav")
    parser.add_argument("--kind", choices=MODELS, default="hubert")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--utterances", type=int, default=50)
    args = parser.parse_args()
    audio = sorted(p for p in args.folder.rglob("*") if p.suffix in (".flac", ".wav"))[: args.utterances]
    transformers.utils.logging.disable_progress_bar()
    figures = compare(audio, args.kind, args.size)
    print(*(f"{k}={v:g}" for k, v in figures.items()))
    sys.exit(figures["differ"] > 0 or figures["worst_hidden_difference"] > 1e-5)


if __name__ == "__main__":
    main()
