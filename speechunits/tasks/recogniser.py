"""Recogniser: a SpeechEncoder and what turns its layers into text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.decode.fusion import check_text
from speechunits.decode.greedy import Greedy
from speechunits.decode.hypothesis import Search
from speechunits.encoder import SpeechEncoder
from speechunits.encoders.hidden import layer_of
from speechunits.part import Part, fill, fill_all
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.term import Term
from speechunits.tuning.full import Full


class Recogniser(nn.Module):
    """Speech to text on top of any encoder: wav2vec 2.0 (Baevski et al. 2020, section 4.3) and HuBERT with a CTC head,
    SUPERB with a frozen encoder and a weighted sum of its layers.

    Frames and channels are hidden in training as the encoder's masker says. An encoder of which nothing is trained stays
    in evaluation mode and sees everything. Reads ``batch["audio"]``, ``batch["text"]`` (ids of ``text``), ``batch["draws"]``.

    Args:
        encoder: usually ``store.restore`` of a folder, with the ``changes`` of fine-tuning.
        text: tokenizer of the transcripts, the one that made ``batch["text"]``.
        heads: by name; filled with ``dim`` and ``vocab``. Their terms are called ``name/term``; the first one writes.
        read: "final", "layer:N" (layers above are not run), "branch:NAME", or a part that joins all layers, filled with
            ``depth`` and ``dim``.
        tuning: what of the encoder is trained; None = ``Full()``, everything but the frontend.
        freeze_updates: the encoder gets no gradient in the first so many updates (fairseq ``freeze_finetune_updates``).
        search: what finds text in what the heads were given; None = ``Greedy()``.

    Raises:
        ValueError: the encoder has no such place, or one that no head can read, or the search's language model is of
            another text.
    """

    updates: Tensor

    def __init__(
        self,
        encoder: SpeechEncoder,
        text: nn.Module,
        heads: Mapping[str, Part[nn.Module]],
        read: str | Part[nn.Module] = "final",
        tuning: Callable[[nn.Module], None] | None = None,
        freeze_updates: int = 0,
        search: Search | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.text, self.search = encoder, text, search or Greedy()
        check_text(self.search, text.fingerprint)
        self.tuning = tuning or Full()
        self.tuning(encoder)
        self.place: str | None = read if isinstance(read, str) else None
        self.joined = None if isinstance(read, str) else fill(read, depth=encoder.depth, dim=encoder.dim)
        if self.place is not None:
            encoder.check_read(self.place)
            if self.place in ("clean", "seen"):
                raise ValueError(f"read: '{self.place}' is what the encoder is given; read a layer of it")
        self.depth = None if self.place is None else layer_of(self.place)
        dim = int(getattr(self.joined, "dim", encoder.dim))
        self.heads = nn.ModuleDict(fill_all(heads, dim=dim, vocab=text.stream.vocab))
        self.freeze_updates = freeze_updates
        self.tuned = any(p.requires_grad for p in encoder.parameters())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(Recogniser._thaw)  # by its class: a copy thaws itself
        self._thaw()

    def _thaw(self, *_: object) -> None:
        at = 0 if self.updates.is_meta else int(self.updates)  # a number at hand: asking a GPU at each pass would cost
        self.moving = self.tuned and at >= self.freeze_updates

    def on_step(self, step: int, root: nn.Module) -> None:
        """Let gradients into the encoder once ``freeze_updates`` updates are complete."""
        self.updates.fill_(step)
        self.moving = self.tuned and step >= self.freeze_updates

    def train(self, mode: bool = True) -> Recogniser:
        """An encoder of which nothing is trained stays in evaluation mode."""
        super().train(mode)
        if not self.tuned:
            self.encoder.eval()
        return self

    def hear(self, batch: Batch) -> Seq:
        """(B, T, dim): what the heads are given."""
        draws = batch["draws"] if self.encoder.training else None
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.moving):
            look = self.encoder(batch["audio"], draws, depth=self.depth)
        if self.joined is not None:
            return look.hidden.final.with_data(self.joined(look.hidden.layers))
        return look.read(self.place)

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that the heads are given, from lengths alone."""
        return self.encoder.frames(batch["audio"]).valid.sum(1)

    def possible(self, batch: Batch) -> dict[str, Tensor]:
        """Of each head that aligns text with frames, (B,) bool: whether it can; from lengths and text."""
        frames = self.lengths(batch)
        return {n: h.possible(frames, batch["text"]) for n, h in self.heads.items() if hasattr(h, "possible")}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """The ``den`` of every weighted term, from lengths and text (see ``protocols.Trainable``)."""
        frames = self.lengths(batch)
        return {f"{n}/{k}": c for n, head in self.heads.items() for k, c in head.counts(frames, batch["text"]).items()}

    def terms(self, batch: Batch) -> dict[str, Term]:
        """One forward pass (see ``protocols.Trainable``)."""
        heard = self.hear(batch)
        return {f"{n}/{k}": t for n, head in self.heads.items() for k, t in head(heard, batch["text"]).items()}

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """``text``: B strings; ``hypotheses``: of each utterance, the best first."""
        found = self.search(dict(self.heads.items()), dict.fromkeys(self.heads, self.hear(batch)))
        return {"text": [each[0].text(self.text) for each in found], "hypotheses": found}

    def edges(self, batch: Batch) -> Tensor:
        """(B, T + 1) float64 seconds at which the frames that heads are given begin, and the last one ends."""
        frames = self.encoder.frames(batch["audio"])
        counts = frames.valid.sum(1)
        places = torch.arange(int(counts.max()) + 1, device=counts.device).minimum(counts[:, None])
        return places.double() * float(self.encoder.hop)

    @property
    def labels(self) -> dict[str, str | None]:
        """The transcripts must be encoded by ``text`` (see ``protocols.Finishes``)."""
        return {"text": self.text.fingerprint}

    def artefacts(self) -> dict[str, nn.Module]:
        """The whole, and where the tuning left or gives back a plain encoder, that too."""
        plain = getattr(self.tuning, "plain", None)
        return {"recogniser": self} | ({} if plain is None else {"encoder": plain(self.encoder)})
