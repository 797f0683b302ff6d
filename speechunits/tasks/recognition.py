"""Recognition: what a finished recogniser writes of a split, and what it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import Cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.fields.features_field import FeaturesField
from speechunits.data.fields.text_field import TextField
from speechunits.data.fields.units_field import UnitsField
from speechunits.data.transcripts import spoken, voice
from speechunits.decode.fusion import check_text
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.words import words
from speechunits.errors import UserError, some
from speechunits.inputs.audio_input import AudioInput
from speechunits.inputs.encoder_input import EncoderInput
from speechunits.metrics.bitrate import entropy_bitrate
from speechunits.metrics.reading import Reading
from speechunits.metrics.word_times import time_errors
from speechunits.part import ConfigError, Tree
from speechunits.protocols import Batch, Recognises
from speechunits.seq import Seq, unpad
from speechunits.signature import mistakes
from speechunits.units.feature_pass import FeaturePass


@dataclass(frozen=True)
class System:
    """A recogniser to be scored.

    Args:
        folder: where it was saved.
        search: in place of the one with which it was saved.
        fields: of the batch, name to configuration; None = those that it was trained on, where its run still lies around the
            folder, else units or features by the names of its ``labels``, and audio where it hears that.
        cuts: split to manifests, in place of those that all systems share (units of its own).
    """

    folder: str
    search: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] | None = None
    cuts: Mapping[str, Any] | None = None

    def restore(
        self,
        device: str | torch.device,
        search: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Any:
        """The model; ``search`` is for systems that name none, ``changes`` are those of ``store.restore``.

        Raises:
            UserError: the folder holds something that writes no text, or the search is made for other text.
        """
        model = store.restore(self.folder, device, changes=changes)
        if not isinstance(model, Recognises):
            raise UserError(
                f"{self.folder}: holds a {type(model).__name__}, which writes no text; give the recogniser/ or asr/ of a run"
            )
        if chosen := self.search or search:
            del model.search  # a module: torch refuses to put a plain object in its place
            model.search = build(chosen, at="model.search" if self.search is None else "search")
            check_text(model.search, model.text.fingerprint)
        return model.to(device)

    @property
    def trained_in(self) -> Path:
        """The folder of its run, if it still lies there."""
        return Path(self.folder).absolute().parent

    def batch_fields(self, model: Recognises, cuts: Cuts) -> dict[str, Field]:
        """What ``predict`` reads."""
        config, nodes = self.trained_in / "config.json", self.fields
        if nodes is None and config.is_file():
            nodes = store.read_json(config).get("data", {}).get("fields")
        # text is what they are to find: symbols that the tokenizer lacks are for the score, not an error
        fields = {name: build(node, at=f"fields.{name}") for name, node in (nodes or {}).items() if not _is_text(node)}
        if fields:
            return fields
        stored = {name: _stored(name, cuts) for name in model.labels if name != "text"}
        parts = model.modules() if isinstance(model, nn.Module) else ()
        audio = {
            part.field: AudioField() for part in parts if isinstance(part, AudioInput | EncoderInput)
        }  # of some both
        return {**stored, **audio} or {"audio": AudioField()}


def _is_text(node: Tree) -> bool:
    return str(node.get("_target_", "")).endswith("TextField")


def _stored(name: str, cuts: Cuts) -> Field:
    stream = cuts.streams.get(name)
    if stream is not None and stream.shape:
        return FeaturesField(name)
    return UnitsField(name, aligned=stream is None or stream.hop is not None)


def read_system(at: str, node: str | Tree) -> System:
    """A folder's path, or the arguments of ``System``; ``at`` is the key, for errors.

    Raises:
        ConfigError: with all mistakes of the arguments.
    """
    tree = {"folder": node} if isinstance(node, str) else dict(node)
    place = f"{System.__module__}.{System.__name__}"
    if found := list(mistakes({"_target_": place, **tree}, at, False)):
        raise ConfigError(found)
    return System(**tree)


class Recognition:
    """One model on one split.

    Args:
        model: what ``System.restore`` gave.
        cuts: those of a split.
        fields: what ``predict`` reads.
        max_seconds, num_workers, device: see ``FeaturePass``.
        transcribed: the cuts say what was said; else ``Reading.said`` is empty.

    Raises:
        UserError: the data has codes of another tokenizer than the model was trained on.
    """

    def __init__(
        self,
        model: Recognises,
        cuts: Cuts,
        fields: Mapping[str, Field],
        max_seconds: float = 60.0,
        num_workers: int = 0,
        device: str | torch.device = "cpu",
        transcribed: bool = True,
    ) -> None:
        self.model, self.device = model, torch.device(device)
        more: dict[str, Field] = {"cut": CutField()} | ({"transcript": TextField()} if transcribed else {})
        self.batches = FeaturePass(
            cuts, {**fields, **more}, max_seconds, 0.0, 1.0, num_workers, device, rank=0, ranks=1
        )
        streams = self.batches.dataset.streams
        for name, wanted in model.labels.items():
            found = streams[name].fingerprint if name in streams else "none"
            if name != "text" and wanted not in (None, found):
                raise UserError(
                    f"{some(list(map(str, cuts.paths)))}: the model was trained on {name} of the tokenizer {wanted}, and here "
                    f"they are of {found}; extract them with that one, or name the fields and cuts of this system"
                )
        self.codes: dict[str, list[list[Tensor]]] = {}
        self.frames, self.seconds = 0, 0.0
        self.late: list[float] = []  # seconds, of each word that is right and whose time the cuts know

    def read(self) -> list[Reading]:
        """Every utterance of the split, in no order that means anything.

        Raises:
            UserError: a cut cannot be read.
        """
        readings = self.read_some()
        if self.batches.bad:
            why = [f"{name}: {reason}" for name, reason in self.batches.bad.items()]
            raise UserError(f"{len(why)} cuts cannot be read ({some(why)}); leave them out")
        return readings

    @torch.inference_mode()
    def read_some(self) -> list[Reading]:
        """The utterances that can be read; ``batches.bad`` has the others. Too short for a frame is nothing said."""
        out: list[Reading] = []
        for _, batch in self.batches():
            begin, frames = self._now(), self.model.lengths(batch)
            heard = self.model.predict(batch) if int(frames.max()) else {"text": [""] * len(frames)}
            self.seconds += self._now() - begin
            self.frames += int(frames.sum())
            self._keep(batch)
            hypotheses = heard.get("hypotheses") or [[] for _ in heard["text"]]
            said = batch.get("transcript", [""] * len(batch["cut"]))
            edges = self.model.edges(batch) if hasattr(self.model, "edges") and int(frames.max()) else None
            for i, (cut, truth, text) in enumerate(zip(batch["cut"], said, heard["text"], strict=True)):
                out.append(Reading(cut.id, truth, text, *voice(cut), self._more(hypotheses[i])))
                if edges is not None and hypotheses[i]:
                    self.late += self._late(spoken(cut), hypotheses[i][0], edges[i].cpu())
        return out

    def _late(self, said: Sequence[tuple[str, float]], found: Hypothesis, edges: Tensor) -> list[float]:
        if found.spans is None:
            return []
        timed = words(found, self.model.text.decode, edges)
        return time_errors(said, [(w.text, (w.start + w.end) / 2) for w in timed])  # type: ignore[operator]

    def unwritable(self, readings: Sequence[Reading], spelled: Callable[[str, str], str]) -> list[str]:
        """Ids of the references with symbols that the model does not have, neither as written nor as ``spelled``."""
        return [r.id for r in readings if not any(map(self._writes, (r.said, spelled(r.said, r.language))))]

    def _writes(self, text: str) -> bool:
        try:
            self.model.text.encode(text)
        except UserError:
            return False
        return True

    def figures(self) -> dict[str, float]:
        """What recognising cost: ``tokens_per_second`` and, of codes, ``bits_per_second`` that the model is given for a second
        of speech (codebooks add up; ``metrics.bitrate``), ``rtf``, seconds of computing for a second of speech, and
        ``word_time_error``, the median of seconds between the middles of a word said and of the same word heard, where the
        cuts have alignments of words and the search gives times.
        """
        speech = self.batches.seconds
        streams = [torch.cat(stream) for rows in self.codes.values() for stream in zip(*rows, strict=True)]
        tokens = sum(map(len, streams)) if streams else self.frames
        late = {"word_time_error": statistics.median(self.late)} if self.late else {}
        bits = {"bits_per_second": sum(entropy_bitrate(x, speech) for x in streams)} if streams else {}
        return {"tokens_per_second": tokens / speech, **bits, "rtf": self.seconds / speech, **late}

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _keep(self, batch: Batch) -> None:
        for name in self.model.labels:
            found: Seq | None = batch.get(name)
            if name != "text" and found is not None and not found.data.is_floating_point():
                rows = [row.reshape(len(row), -1).int().cpu().unbind(1) for row in unpad(found)]
                self.codes.setdefault(name, []).extend(map(list, rows))

    def _more(self, found: Sequence[Hypothesis]) -> dict[str, Any]:
        """All hypotheses where there are several, and how sure the model is of the symbols of the first, on average."""
        more: dict[str, Any] = {}
        if len(found) > 1:
            texts = [(self.model.text.decode(each.ids), each.score) for each in found]
            more["nbest"] = [{"text": text, "score": round(score, 4)} for text, score in texts]
        if found and found[0].confidence is not None and len(found[0].confidence):
            more["confidence"] = round(float(found[0].confidence.mean()), 4)
        return more
