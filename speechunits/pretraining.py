"""SSLModel: views -> passes -> objectives. The thirty lines that replace every paper's forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from speechunits.encoder import SpeechEncoder
from speechunits.objectives.passes import Passes
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch, Shows
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.term import Term


class SSLModel(nn.Module):
    """A SpeechEncoder and the objectives it is pre-trained with.

    Args:
        encoder: what is learned.
        objectives: by name; filled with ``dim``, ``depth``, ``hop`` and ``streams``. Their terms are called ``name/term``.
        teacher: filled with ``encoder``; sees the same audio unmasked.
        views: ``view(audio, draws)`` gives other audio of the same length; the student hears each, and only these. None
            given: it hears the audio itself.
        streams: fields of stored codes that the data offers, supplied by the recipe.

    Raises:
        ValueError: an objective reads a place that the encoder does not have.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        objectives: Mapping[str, Part[nn.Module]],
        teacher: Part[nn.Module] | None = None,
        views: Sequence[nn.Module] = (),
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        about = {"dim": encoder.dim, "hop": encoder.hop, "depth": encoder.depth, "streams": streams}
        self.objectives = nn.ModuleDict(fill_all(objectives, **about))
        for name, objective in self.objectives.items():
            try:
                encoder.check_read(getattr(objective, "read", "final"))
            except ValueError as error:
                raise ValueError(f"objectives.{name}.read: {error}") from None
            for where in getattr(objective, "teacher_reads", ()):
                if teacher is None:
                    raise ValueError(
                        f"objectives.{name}.target reads '{where}' of a teacher, and there is none: add "
                        "teacher: {_target_: speechunits.teacher.Teacher}"
                    )
                try:
                    encoder.check_read(where, ffn=True)
                except ValueError as error:
                    raise ValueError(f"objectives.{name}.target: {error}") from None
        self.teacher = None if teacher is None else fill(teacher, encoder=encoder)
        self.views = nn.ModuleList(views)

    @property
    def labels(self) -> dict[str, str | None]:
        """Fields of stored codes that the objectives predict (see ``protocols.Finishes``)."""
        return {o.target.field: None for o in self.objectives.values() if hasattr(getattr(o, "target", None), "field")}

    @property
    def vocab(self) -> tuple[int, ...] | None:
        """Codebook sizes of the first objective that predicts codes: what ``predict`` gives."""
        return next((o.vocab for o in self.objectives.values() if hasattr(o, "vocab")), None)

    def artefacts(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder}

    def heard(self, batch: Batch) -> list[Seq]:
        """What the student hears, one (B, S) per view; made once for each batch, whoever asks first."""
        audio, draws = batch["audio"], batch["draws"]
        if not len(self.views):
            return [audio]

        def make() -> list[Seq]:
            out = [view(audio, draws.scoped(f"view:{i}")) for i, view in enumerate(self.views)]
            for view, other in zip(self.views, out, strict=True):
                if not torch.equal(other.lengths, audio.lengths):
                    raise ValueError(f"the view {type(view).__name__} changed the length of its audio")
            return out

        return draws.once(("heard", id(self)), make)  # type: ignore[no-any-return]

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted term, from lengths and draws (see ``protocols.Trainable``)."""
        heard = enumerate(self.heard(batch))
        frames = [self.encoder.frames(audio, batch["draws"], f"mask:{i}") for i, audio in heard]
        return {f"{n}/{k}": c for n, o in self.objectives.items() for k, c in o.counts(frames, batch).items()}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass (see ``protocols.Trainable``)."""
        heard = enumerate(self.heard(batch))
        student = [self.encoder(audio, batch["draws"], f"mask:{i}") for i, audio in heard]
        teacher = None
        if self.teacher is not None:  # it hears the audio itself: what the frontend made of that serves both
            teacher = self.teacher(batch["audio"], None if len(self.views) else student[0].clean)
        passes = Passes(student, teacher)
        return {f"{n}/{k}": t for n, o in self.objectives.items() for k, t in o(passes, batch).items()}

    def figures(self) -> dict[str, float]:
        """Of every objective that has some, as ``name/figure`` (see ``protocols.Shows``)."""
        return {
            f"{n}/{k}": v for n, o in self.objectives.items() if isinstance(o, Shows) for k, v in o.figures().items()
        }

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Seq]:
        """``units``: the codes (B, T, K) that the first objective with a prediction gives frames it sees unmasked."""
        look = self.encoder(batch["audio"])
        codes = (o.predict(look) for o in self.objectives.values() if hasattr(o, "predict"))
        return {"units": first} if (first := next(codes, None)) is not None else {}
