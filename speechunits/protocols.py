"""What the training loop, the evaluation loop and the step hook ask of a model. Protocols: nothing to inherit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from speechunits.term import Term

Batch = Mapping[str, Any]  # "audio", "units", "text": Seq; "draws": Draws; "ids": list[str]


@runtime_checkable
class Trainable(Protocol):
    """Everything trained by gradient."""

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted Term of ``terms``, from lengths and draws alone: no forward pass.

        The training loop sums them over micro-batches and ranks before the first backward pass, which makes
        1 rank = N ranks = accumulation exact.
        """
        ...

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass: named Terms, each ``den`` equal to that of ``counts``."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """What Measures read during validation and evaluation."""

    def predict(self, batch: Batch) -> dict[str, Any]:
        """Named outputs (Seq, Units, list[str]) of one batch, without gradient."""
        ...


@runtime_checkable
class Recognises(Predicts, Protocol):
    """What ``recipes.recognise`` asks of a model: ``predict`` gives ``text``, B strings, and maybe ``hypotheses``, for each
    utterance ``decode.hypothesis.Hypothesis``, the best first.
    """

    text: Any  # the tokenizer that wrote the text

    @property
    def labels(self) -> Mapping[str, str | None]:
        """See ``Finishes``; all but ``text`` are fields of codes or vectors that ``predict`` reads."""
        ...

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that its encoder or its heads are given, from lengths alone."""
        ...


@runtime_checkable
class Finishes(Protocol):
    """What a finished training leaves behind, and what it was made from."""

    @property
    def labels(self) -> Mapping[str, str | None]:
        """Fields of codes that it is trained on -> the fingerprint each must have; None takes any."""
        ...

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Name of a folder -> what is saved there."""
        ...


@runtime_checkable
class Stepped(Protocol):
    """State that moves with completed updates: EMA, temperatures, codebooks, freezing."""

    def on_step(self, step: int, root: nn.Module) -> None:
        """Called once after update number ``step`` (1 for the first) on every module of ``root`` that has it."""
        ...


@runtime_checkable
class Forgets(Protocol):
    """State gathered by forward passes for the update."""

    def forget(self) -> None:
        """Called on every module that has it when the update was left out (loss or gradient not finite)."""
        ...


@runtime_checkable
class Shows(Protocol):
    """Figures that are no means over frames."""

    def figures(self) -> dict[str, float]:
        """Of the last update; called on all ranks at the updates that are logged."""
        ...
