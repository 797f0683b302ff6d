"""FeatureBank: several places of one encoder, read in one pass and kept in memory for fitting and measuring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.config import check_build
from speechunits.encoder import SpeechEncoder
from speechunits.part import ConfigError
from speechunits.seq import Seq, unpad
from speechunits.signature import locate
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.features import Features


def check_banks(systems: Mapping[str, Any], seeds: int | None = None) -> None:
    """Whether every system can be built and is a FeatureBank: known before the first one is measured.

    Args:
        systems: by name, as configured.
        seeds: a system may be a list, of so many; None = it may not.

    Raises:
        ConfigError: with the mistakes of all.
    """
    found: list[str] = []
    for name, node in systems.items():
        at = f"systems.{name}"
        nodes = {at: node}
        if isinstance(node, list) and seeds is not None:
            nodes = {f"{at}[{i}]": one for i, one in enumerate(node)}
            if len(node) != seeds:
                found.append(f"{at}: a list of {len(node)} for {seeds} seeds; give one for each seed")
        for place, one in nodes.items():
            found += check_build(one, at=place) or _no_bank(one, place)
    if found:
        raise ConfigError(found)


def _no_bank(node: Any, at: str) -> list[str]:
    target = node.get("_target_") if isinstance(node, dict) else None
    make = target and locate(target)
    if make and not (inspect.isclass(make) and not issubclass(make, FeatureBank)):
        return []
    return [f"{at}: a system is a {FeatureBank.__module__}.FeatureBank, not {target or node!r}; name it as _target_"]


class FeatureBank:
    """Features of every candidate for every utterance of a corpus.

    Meant for evaluation sets and for the bounded sample that codebooks are compared on; corpora for training are
    streamed (``FeaturePass.features``).

    Args:
        source: a SpeechEncoder or a frontend.
        reads: places, e.g. ["layer:1", "layer:2"]; ["clean"] for a frontend.
        pools: ways to join ``every`` frames, "first" or "mean"; with ``every=1`` they are the same.
        every: frames joined into one vector.
    """

    def __init__(
        self,
        source: nn.Module,
        reads: Sequence[str] = ("clean",),
        pools: Sequence[str] = ("first",),
        every: int = 1,
    ) -> None:
        if not reads or not pools:
            raise ValueError(f"reads is {list(reads)} and pools is {list(pools)}: give at least one of each")
        self.source = source.eval()
        self.candidates: dict[str, Features] = {}
        for read in reads:
            for pool in pools if every > 1 else ("first",):
                name = read if every == 1 else f"{read}/{pool}{every}"
                self.candidates[name] = Features(source, read, every, pool)  # type: ignore[arg-type]

    @property
    def hop(self) -> Fraction:
        """Seconds per vector, the same for all candidates."""
        return next(iter(self.candidates.values())).hop

    @torch.inference_mode()
    def look(self, audio: Seq, names: Sequence[str] | None = None) -> dict[str, Seq]:
        """(B, S) samples -> the candidates ``names``, None = all, (B, T, D) each; layers above them are not run."""
        chosen = {name: self.candidates[name] for name in self.candidates if names is None or name in names}
        if isinstance(self.source, SpeechEncoder):
            depths = [f.depth for f in chosen.values() if f.depth is not None]
            look = self.source(audio, depth=max(depths) if len(depths) == len(chosen) else None)
            return {name: f.reduce(look.read(f.read)) for name, f in chosen.items()}
        frames = self.source(audio)
        return {name: f.reduce(frames) for name, f in chosen.items()}

    def read(
        self,
        batches: FeaturePass,
        view: Callable[[Seq, Any], Seq] | None = None,
        names: Sequence[str] | None = None,
    ) -> tuple[dict[str, dict[str, Tensor]], list[dict[str, Any]]]:
        """One pass.

        Args:
            batches: the corpus.
            view: changes the audio first (noise), given the batch's draws.
            names: candidates that are wanted; None = all.

        Returns:
            candidate -> utterance id -> (T, D), and the batches without their audio (labels, ids).
        """
        out: dict[str, dict[str, Tensor]] = {}
        rest = []
        self.source.to(batches.device)
        for _, batch in batches():
            audio = batch["audio"] if view is None else view(batch["audio"], batch["draws"])
            for name, seq in self.look(audio, names).items():
                kept = zip(batch["ids"], unpad(seq), strict=True)
                out.setdefault(name, {}).update((key, x.clone().cpu()) for key, x in kept)
            rest.append({k: v for k, v in batch.items() if k != "audio"})
        return out, rest

    def stream(self, vectors: Mapping[str, Tensor]) -> Callable[[int], Iterator[tuple[int, list[str], Seq]]]:
        """Kept vectors as a feature stream for ``KMeansFitter``."""
        items = list(vectors.items())

        def run(start: int = 0) -> Iterator[tuple[int, list[str], Seq]]:
            for i in range(start, len(items)):
                key, x = items[i]
                yield i, [key], Seq(x[None], torch.tensor([len(x)]), self.hop)

        return run
