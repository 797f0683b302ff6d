"""Teacher: a slowly moving copy of the encoder, which says what the student should have seen behind the masks."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from speechunits.encoder import Frames, Pass, SpeechEncoder
from speechunits.nn.moving_average import follow
from speechunits.seq import Seq


class Teacher(nn.Module):
    """Exponential moving average of ``SpeechEncoder.encoder``; frontend and projection are the student's own.

    data2vec (Baevski et al. 2022, section 3.2) and DinoSR (Liu et al. 2023, https://arxiv.org/abs/2305.10005, section
    3.1), as in fairseq's ``ema_transformer_only``. After update n: teacher <- d * teacher + (1 - d) * student, with d
    going linearly from ``decay`` to ``end_decay`` over ``anneal_steps`` updates. It is always in evaluation mode, sees
    everything, and no gradient enters it.

    Args:
        decay, end_decay, anneal_steps: see above; a decay of 1 leaves the teacher as it is.
        copied: beginnings of the names of parameters that are copied instead of averaged (fairseq: the positional
            convolution).
        freeze_step: from this update on the teacher stands still, and so do the student's frontend and projection,
            which are a part of it (fairseq puts them back after every update; here they get no gradient).
        encoder: the student, supplied by the model.
    """

    step: Tensor

    def __init__(
        self,
        decay: float = 0.999,
        end_decay: float = 0.9999,
        anneal_steps: int = 30000,
        copied: Sequence[str] = ("positions.",),
        freeze_step: int | None = None,
        *,
        encoder: SpeechEncoder,
    ) -> None:
        super().__init__()
        if not (0 <= decay <= 1 and 0 <= end_decay <= 1):
            raise ValueError(f"decay={decay}, end_decay={end_decay}: both lie between 0 and 1")
        self.decay, self.end_decay, self.anneal_steps = decay, end_decay, anneal_steps
        self.copied, self.freeze_step = tuple(copied), freeze_step
        self._frozen = False
        self._student = (encoder,)  # in a tuple: a reference, no part of this module
        self.encoder = copy.deepcopy(encoder.encoder).requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(Teacher._refreeze)
        self.eval()

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode."""
        return super().train(False)

    def decay_at(self, step: int) -> float:
        """d after update ``step``."""
        if self.freeze_step is not None and step >= self.freeze_step:
            return 1.0
        if step >= self.anneal_steps:
            return self.end_decay
        return self.end_decay - (self.end_decay - self.decay) * (1 - step / self.anneal_steps)

    @torch.no_grad()
    def forward(self, audio: Seq, clean: Seq | None = None) -> Pass:
        """Encode ``audio`` (B, S), keeping ``Hidden.ffn``.

        Args:
            clean: what the student's frontend made of the same audio; None = ask it.
        """
        student = self._student[0]
        with evaluating(*self._shared()):  # no dropout between frontend and encoder either
            clean = student.frontend(audio) if clean is None else clean.with_data(clean.data.detach())
            seen = clean if student.projection is None else student.projection(clean)
        hidden = self.encoder(seen, ffn=True) if getattr(self.encoder, "gives_ffn", False) else self.encoder(seen)
        return Pass(clean, seen, Frames(clean.valid, torch.zeros_like(clean.valid), student.hop), hidden)

    @torch.no_grad()
    def on_step(self, step: int, root: nn.Module) -> None:
        """Move after update ``step``."""
        self.step.fill_(step)
        decay = self.decay_at(step)
        if decay < 1.0:
            self._move(decay)
        self._freeze(step)

    @torch.no_grad()
    def copy_student(self) -> None:
        """Begin anew with the student's weights: it was given others after this teacher was built."""
        self._move(0.0)

    def _move(self, decay: float) -> None:
        follow(self.encoder, self._student[0].encoder, decay, self.copied)

    def _shared(self) -> list[nn.Module]:
        student = self._student[0]
        return [part for part in (student.frontend, student.projection) if part is not None]

    def _refreeze(self, *_: object) -> None:
        self._freeze(int(self.step))

    def _freeze(self, step: int) -> None:
        frozen = self.freeze_step is not None and step >= self.freeze_step
        if frozen != self._frozen:  # also back, when training goes back to an older state
            self._frozen = frozen
            for part in self._shared():
                part.requires_grad_(not frozen)


@contextlib.contextmanager
def evaluating(*parts: nn.Module) -> Iterator[None]:
    """Evaluation mode for ``parts``, and back to what each of their modules was in."""
    before = [(module, module.training) for part in parts for module in part.modules()]
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
