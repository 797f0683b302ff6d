"""What the training loop, the evaluation loop and the step hook ask of a model. Protocols: nothing to inherit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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
class Adversarial(Protocol):
    """A generator and the discriminator that judges it, each trained by an optimizer of its own.

    Every parameter that wants a gradient belongs to one of the two. An update is the discriminator's step, then the
    generator's against the discriminator that has moved, on the same window.
    """

    if TYPE_CHECKING:  # isinstance asks for the methods alone: from Python 3.12 on it finds no submodules
        generator: nn.Module
        discriminator: nn.Module

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted Term of both sides, as of ``Trainable.counts``."""
        ...

    def generate(self, batch: Batch) -> Any:
        """What the generator makes of the batch, with gradient. It may be asked twice for one batch, and must then give the
        same: what it draws comes from ``batch["draws"]`` or from the global generators, which the loop puts back.
        """
        ...

    def discriminator_terms(self, batch: Batch, made: Any) -> dict[str, Term]:
        """Terms ``discriminator/...`` of what ``generate`` made, detached here. None with a weight: the discriminator rests."""
        ...

    def generator_terms(self, batch: Batch, made: Any) -> dict[str, Term]:
        """Terms ``generator/...`` of what ``generate`` made; the discriminator's weights get no gradient."""
        ...

    def terms(self, batch: Batch) -> dict[str, Term]:
        """What validation shows; the weighted ones make ``valid/loss``."""
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
