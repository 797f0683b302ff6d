"""SpeechDataModule: manifests and fields -> what Lightning's Trainer iterates over."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.batch_loader import BatchLoader
from speechunits.data.batch_plan import BatchPlan, evaluation_batches
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.field import Field
from speechunits.data.mixture import Mixed, Mixture, named
from speechunits.data.transform import Transform
from speechunits.data.window_loader import Position, WindowLoader
from speechunits.errors import UserError
from speechunits.stream import Stream

log = logging.getLogger(__name__)


class SpeechDataModule(LightningDataModule):
    """Training gets windows (a list of ``accumulate`` batch dicts per update), validation single batch dicts.

    The training loop calls ``advance`` after each completed update, before checkpoints are written. Build the Trainer
    with ``use_distributed_sampler=False``: the batch plan knows the ranks.

    Args:
        train: cut manifests, a path or a list of paths; or, to mix them, name -> paths, nested where corpora are grouped.
        valid: likewise; None for no validation.
        fields: batch name -> Field, the same for both.
        max_seconds: most seconds of one batch on one rank, padding included.
        transforms: of training cuts only.
        mixture: how much of the time each of the named corpora takes; None: as much as it has.
        accumulate: batches per rank and update.
        buckets: see BatchPlan.
        min_duration: seconds; shorter cuts are left out, which is said once. Zero-length ones always are.
        max_duration: seconds; longer cuts are left out of training, which is said once.
        max_bad: unreadable utterances (missing, corrupt, NaN) that one rank skips before training stops with an error.
        valid_max_seconds: as ``max_seconds``; None takes that.
        num_workers: loader processes per rank and loader. They change nothing but speed.
        seed: of the batch plan and of all draws about utterances.
        accept_manifest: hash of training cuts to go on with although the checkpoint saw others; the error names it.
        accept_batches: batches in an update (ranks x accumulate) to go on with although the checkpoint's had others.
    """

    def __init__(
        self,
        train: str | Sequence[str] | Mapping[str, Any],
        fields: Mapping[str, Field],
        max_seconds: float,
        valid: str | Sequence[str] | None = None,
        transforms: Sequence[Transform] = (),
        mixture: Mixture | None = None,
        accumulate: int = 1,
        buckets: int = 100,
        min_duration: float = 0.1,
        max_duration: float | None = None,
        max_bad: int = 100,
        valid_max_seconds: float | None = None,
        num_workers: int = 2,
        seed: int = 0,
        accept_manifest: str | None = None,
        accept_batches: int | None = None,
    ) -> None:
        super().__init__()
        corpora = named(train) if isinstance(train, Mapping) else [("train", train)]
        self.corpora = {name: [x] if isinstance(x, str) else list(x) for name, x in corpora}
        if mixture is not None and not isinstance(train, Mapping):
            raise UserError("data.mixture: data.train must name its corpora, as {en: en.jsonl.gz, es: es.jsonl.gz}")
        self.tree, self.mixture = train, mixture
        self.train_paths = [path for paths in self.corpora.values() for path in paths]
        self.valid_paths, self.fields, self.transforms = valid, fields, transforms
        self.max_seconds, self.accumulate, self.buckets = max_seconds, accumulate, buckets
        self.min_duration, self.max_duration, self.max_bad = min_duration, max_duration, max_bad
        self.valid_max_seconds = valid_max_seconds or max_seconds
        self.num_workers, self.seed = num_workers, seed
        self.accept_manifest, self.accept_batches = accept_manifest, accept_batches
        self.position = Position()
        self._restored: dict[str, Any] | None = None
        self._windows: WindowLoader | None = None

    @cached_property
    def train_set(self) -> BatchDataset:
        return BatchDataset(open_cuts(self.train_paths), self.fields, self.transforms, self.seed)

    @cached_property
    def valid_set(self) -> BatchDataset | None:
        if self.valid_paths is None:
            return None
        return BatchDataset(open_cuts(self.valid_paths), self.fields, (), self.seed)

    @property
    def streams(self) -> dict[str, Stream]:
        """Rate, vocabulary and origin of every field of codes.

        Raises:
            UserError: training and validation differ (labels of two tokenizers: the validation loss would rise).
        """
        train = self.train_set.streams
        if self.valid_set is not None:
            for name, stream in self.valid_set.streams.items():
                if stream != train[name]:
                    raise UserError(
                        f"the field {name} of {self.valid_paths} ({stream}) differs from that of {', '.join(self.train_paths)} "
                        f"({train[name]}); extract both with one tokenizer"
                    )
        return train

    @property
    def contents(self) -> dict[str, str]:
        """What the manifests hold, in a few words: equal where cuts and durations are."""
        sets = {"data.train": self.train_set, "data.valid": self.valid_set}
        return {
            name: f"{len(found.cuts)} cuts with the hash {hashlib.sha256(found.cuts.hash.encode()).hexdigest()[:12]}"
            for name, found in sets.items()
            if found is not None
        }

    def setup(self, stage: str | None = None) -> None:
        _ = self.streams  # opens everything: mistakes in the data show before the first step

    def train_dataloader(self) -> WindowLoader:
        ranks, rank = self._ranks()
        dataset = self.train_set
        seconds = dataset.cuts.seconds
        rows = usable(dataset.cuts, self.min_duration, self.max_duration)
        for transform in self.transforms:
            seconds = transform.seconds(seconds)
        key, mixed = dataset.cuts.hash, self._mixed(seconds, rows)
        if mixed is not None:
            seconds, rows, key = mixed.seconds, np.arange(len(mixed.seconds)), f"{key}\0{mixed.name}"
        plan = BatchPlan(seconds, self.max_seconds, key, self.seed, ranks, self.accumulate, self.buckets, rows)
        self._place(plan)
        self._windows = WindowLoader(dataset, plan, self.position, rank, self.num_workers, self.max_bad, mixed)
        return self._windows

    def _mixed(self, seconds: np.ndarray, rows: np.ndarray) -> Mixed | None:
        """The usable cuts, numbers ``rows`` into ``seconds``, in the shares that the mixture gives their corpora."""
        if self.mixture is None:
            return None
        manifests = [len(paths) for paths in self.corpora.values()]
        corpus = np.repeat(np.arange(len(manifests)), manifests)[self.train_set.cuts.manifest(rows)]
        seconds = seconds[rows]
        sums = dict(zip(self.corpora, np.bincount(corpus, seconds, len(manifests)).tolist(), strict=True))
        if empty := [name for name, total in sums.items() if not total]:
            raise UserError(f"data.train.{empty[0]}: no cut is within min_duration and max_duration; leave it out")
        assert isinstance(self.tree, Mapping)
        return Mixed(seconds, rows, corpus, self.mixture.shares(self.tree, sums), self.seed)

    def val_dataloader(self) -> BatchLoader | list:
        if self.valid_set is None:
            return []
        ranks, rank = self._ranks()
        rows = usable(self.valid_set.cuts, self.min_duration, None)
        batches = evaluation_batches(self.valid_set.cuts.seconds, self.valid_max_seconds, ranks, rows)[rank]
        # epoch -1: the same masks at each validation
        planned = [Planned(-1, tuple(b.tolist())) for b in batches]
        return BatchLoader(self.valid_set, planned, self.num_workers, self.max_bad)

    def advance(self) -> None:
        """The update of the window handed out last is complete: a checkpoint written from now on starts after it."""
        assert self._windows is not None, "advance is called while training"
        self._windows.advance()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"epoch": self.position.epoch, "window": self.position.window}
        state["labels"] = {name: stream.fingerprint for name, stream in self.streams.items()}
        state["manifest"] = self._manifest()
        if self._windows is not None:
            plan = self._windows.plan
            state |= {"windows": plan.windows, "plan": plan.name, "group": plan.ranks * plan.accumulate}
        return state

    def _manifest(self) -> dict[str, Any]:
        """The training cuts by what decides batches and draws, ids and durations; where the audio lies may change."""
        cuts = self.train_set.cuts
        name = hashlib.sha256(cuts.hash.encode()).hexdigest()[:12]
        return {"hash": name, "cuts": len(cuts), "hours": float(cuts.seconds.sum() / 3600)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` stood.

        Raises:
            UserError: it was trained on codes of another tokenizer: a head would go on with other meanings of each code;
                or on other cuts, and ``accept_manifest`` does not name those of now.
        """
        for name, now in self.streams.items():
            then = state_dict.get("labels", {}).get(name, now.fingerprint)
            if then != now.fingerprint:
                raise UserError(
                    f"the checkpoint was trained on {name} of the tokenizer {then}, and "
                    f"{', '.join(self.train_paths)} holds those of {now.fingerprint}; extract them with {then} "
                    "again, or begin a new run in another out="
                )
        here = self._manifest()
        there = state_dict.get("manifest", here)
        if there["hash"] != here["hash"]:
            said = (
                f"{', '.join(self.train_paths)}: the checkpoint saw {there['cuts']} cuts of {there['hours']:.2f} h "
                f"({there['hash']}), "
                f"now there are {here['cuts']} of {here['hours']:.2f} h ({here['hash']}): other ids or durations"
            )
            if self.accept_manifest != here["hash"]:
                accept = f"data.accept_manifest={here['hash']}"
                raise UserError(f"{said}; put the manifest of before back, or give {accept} to go on with this one")
            log.warning("%s; accepted", said)
        self.position.epoch, self.position.window = state_dict["epoch"], state_dict["window"]
        self._restored = state_dict

    def _place(self, plan: BatchPlan) -> None:
        """A restored place in an epoch means something only under the same plan: else go on at the same share of it.

        Raises:
            UserError: updates are of other sizes than the checkpoint's, and ``accept_batches`` does not name that of now.
        """
        state, self._restored = self._restored, None
        if not state or not state.get("plan") or state["plan"] == plan.name:
            return
        then, now = state.get("group"), plan.ranks * plan.accumulate
        if then not in (None, now):
            even = then % plan.ranks == 0
            keep = f"data.accumulate={then // plan.ranks}" if even else f"another number of ranks ({plan.ranks} cannot)"
            said = f"the checkpoint's updates were of {then} batches (ranks x accumulate), and now they are of {now}"
            if self.accept_batches != now:
                raise UserError(
                    f"{said}; give {keep} to keep them as they were, or data.accept_batches={now} to go on with these"
                )
            log.warning("%s; accepted", said)
        if state["window"]:
            self.position.window = min(plan.windows - 1, math.ceil(state["window"] / state["windows"] * plan.windows))
            log.warning(
                "the checkpoint was in window %d of %d of epoch %d of another batch plan (other data, limits or "
                "ranks); going on at window %d of %d: some utterances of this epoch come twice or not at all",
                *(state["window"], state["windows"], state["epoch"], self.position.window, plan.windows),
            )

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer is not None else (1, 0)


def usable(cuts: Cuts, min_duration: float, max_duration: float | None) -> np.ndarray:
    """(M,) numbers of the cuts within the limits; how many are left out, and why, is logged.

    Raises:
        UserError: none is left.
    """
    where = ", ".join(map(str, cuts.paths))
    short = (cuts.seconds <= 0) | (cuts.seconds < min_duration)
    long = cuts.seconds > (math.inf if max_duration is None else max_duration)
    for found, what in ((short, f"shorter than {min_duration:g} s"), (long, f"longer than {max_duration} s")):
        if found.any():
            example = cuts.id(int(np.argmax(found)))
            log.warning("%s: left out %d of %d cuts %s, e.g. %s", where, found.sum(), len(cuts), what, example)
    rows = np.flatnonzero(~(short | long)).astype(np.int32)
    if not len(rows):
        raise UserError(f"{where}: all {len(cuts)} cuts are outside the limits; widen min_duration and max_duration")
    return rows
