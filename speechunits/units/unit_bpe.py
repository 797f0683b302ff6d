"""Subword units: runs of units that often come together become one."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Literal

import numpy as np
import sentencepiece
import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.text.resegment import merge, sample
from speechunits.units.dedup import joined
from speechunits.units.units import Units

# sentencepiece 0.2.3 looks for common strings by bytes, and takes those alone after which the first byte differs: were all
# units in one block of characters, as CJK, a unigram model would find hardly any. So neighbours begin with other bytes. Left
# out are the blocks with sentencepiece's own signs (2), surrogates (13) and no characters (15).
BLOCKS = np.array([1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14])
SIZE = 0x1000
MOST = len(BLOCKS) * SIZE  # units that have a character each


class UnitBPE(nn.Module):
    """Byte-pair encoding or a unigram model over the units of one codebook, by sentencepiece; nothing is lost.

    BPE: Sennrich et al. 2016, arXiv:1508.07909, section 3.2; with dropout Provilkov et al. 2020, arXiv:1910.13267.
    Unigram: Kudo 2018, arXiv:1804.10959, section 3. On units: Chang et al. 2023, arXiv:2309.15800. Units are characters
    inside alone; subwords are 0 .. size-1, and every unit is a subword, so that whatever the data holds has a spelling.
    Also a step of ``ReducedUnitsField``.

    Args:
        kind: of the model.
        size: subwords V.
        units: codes of the units that it reads.
        source: fingerprint of their stream; others are refused.
        proto_size: bytes of sentencepiece's model.
        alpha: of the spelling drawn in training: the probability that BPE leaves out a merge, or the power to which the
            unigram model's probabilities are raised; None = always the best spelling. Set it where the folder is restored,
            by ``changes: {alpha: 0.1}``.

    Raises:
        ValueError: alpha is out of range.
    """

    proto: Tensor
    fingerprint: str = ""

    def __init__(
        self,
        kind: Literal["bpe", "unigram"],
        size: int,
        units: int,
        source: str,
        proto_size: int,
        alpha: float | None = None,
    ) -> None:
        super().__init__()
        if alpha is not None and not 0 <= alpha <= (1 if kind == "bpe" else np.inf):
            raise ValueError(f"alpha = {alpha}: give 0 to 1 to BPE, 0 or more to a unigram model")
        self.kind, self.size, self.units, self.source, self.alpha = kind, size, units, source, alpha
        self.register_buffer("proto", torch.zeros(proto_size, dtype=torch.uint8))

    @cached_property
    def _model(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.proto.cpu().numpy().tobytes())

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {self._model.id_to_piece(i + 1): i for i in range(self.size)}

    @cached_property
    def _scores(self) -> dict[str, float]:
        return {piece: self._model.get_score(i + 1) for piece, i in self._ids.items()}

    @cached_property
    def _spelled(self) -> list[Tensor]:
        """The units of every subword; sentencepiece's piece 0 is for what is unknown, which nothing is."""
        return [torch.from_numpy(read(self._model.id_to_piece(i + 1))) for i in range(self.size)]

    @cached_property
    def _counts(self) -> Tensor:
        return torch.tensor([len(units) for units in self._spelled])

    def encode(self, units: Tensor, random: np.random.Generator | None = None) -> Tensor:
        """(T,) units -> (N,) int64 subwords: the best spelling, or with ``random`` one drawn by ``alpha``.

        Raises:
            ValueError: a unit is outside 0 .. units-1.
        """
        if len(units) and not 0 <= int(units.min()) <= int(units.max()) < self.units:
            raise ValueError(f"units run from {int(units.min())} to {int(units.max())}, outside 0 to {self.units - 1}")
        text = write(units)
        if random is None or self.alpha is None:
            return torch.tensor(self._model.encode(text), dtype=torch.int64) - 1
        cut = merge if self.kind == "bpe" else sample
        return torch.tensor(
            [self._ids[piece] for piece in cut(text, self._scores, self.alpha, random)], dtype=torch.int64
        )

    def decode(self, ids: Tensor) -> Tensor:
        """(N,) subwords -> (T,) int64 units."""
        return torch.cat([torch.zeros(0, dtype=torch.int64), *(self._spelled[i] for i in ids.tolist())])

    def over(self, stream: Stream) -> Stream:
        """See ``UnitStep``."""
        if stream.fingerprint != self.source or stream.vocab != (self.units,):
            raise UserError(
                f"the subwords {self.fingerprint} were fitted on {self.units} units {self.source}, and these are "
                f"{stream.fingerprint}; fit subwords on these (recipes.fit_unit_bpe), or take the units of before"
            )
        return Stream(None, (self.size,), f"{stream.fingerprint}+{self.fingerprint}")

    def shorten(
        self, units: Tensor, frames: Tensor, random: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(T,) or (T, 1) units and (T,) frames of each -> (N,) subwords and the frames of each."""
        ids = self.encode(units.reshape(-1), random)
        return ids, joined(frames, self._counts[ids])

    def forward(self, units: Units) -> Units:
        """Units, merged or not -> subwords (B, N, 1) and their durations.

        Raises:
            ValueError: the units are of another vocabulary.
        """
        if units.vocab != (self.units,):
            raise ValueError(f"the subwords are of units of vocabulary ({self.units},), not {units.vocab}")
        lasting = units.durations or Seq(units.ids.valid.long(), units.ids.lengths, units.ids.hop)
        rows = [self.shorten(u.cpu(), f.cpu()) for u, f in zip(unpad(units.ids), unpad(lasting), strict=True)]
        device = units.ids.data.device
        ids = pad([ids[:, None] for ids, _ in rows], None).to(device)
        durations = pad([frames for _, frames in rows], lasting.hop).to(device)
        return replace(units, ids=ids, vocab=(self.size,), durations=durations)


def write(units: Tensor) -> str:
    """(T,) units as a string of one character each."""
    ids = units.cpu().numpy()
    return (BLOCKS[ids % len(BLOCKS)] * SIZE + ids // len(BLOCKS)).astype("<u4").tobytes().decode("utf-32-le")


def read(text: str) -> np.ndarray:
    """The (T,) int64 units that ``write`` wrote."""
    places = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.int64)
    return np.searchsorted(BLOCKS, places // SIZE) + places % SIZE * len(BLOCKS)


def fit_subwords(
    rows: Iterable[Tensor], size: int, kind: Literal["bpe", "unigram"] = "bpe", longest: int = 16, *, stream: Stream
) -> UnitBPE:
    """Fit subwords; the same rows give the same ones. sentencepiece keeps all rows in memory, 4 bytes a unit and more.

    Args:
        rows: (T,) or (T, 1) units of each utterance.
        size: subwords; all units are among them.
        longest: units in one subword at most.
        stream: of the units.

    Raises:
        UserError: several codebooks, more units than characters, or a size that the units or the data do not allow.
    """
    units = stream.vocab[0]
    if len(stream.vocab) > 1:
        raise UserError(f"these units have {len(stream.vocab)} codebooks, and subwords join units of one; choose one")
    if units > MOST:
        raise UserError(f"{units} units, and there are characters for {MOST}; choose a smaller codebook")
    if size < units:
        raise UserError(f"size={size}: fewer subwords than the {units} units, which are all among them; give more")
    failed: list[Exception] = []

    def texts() -> Iterator[str]:
        try:
            yield from (write(torch.tensor([unit])) for unit in range(units))  # each once, so that each is a subword
            yield from (write(row.reshape(-1)) for row in rows if len(row))
        except Exception as error:  # sentencepiece would make its text of it
            failed.append(error)
            raise

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=texts(),
            model_writer=written,
            model_type=kind,
            vocab_size=size + 1,  # and the unknown
            max_sentencepiece_length=longest,
            max_sentence_length=1 << 30,  # longer ones would be dropped without a word
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_by_unicode_script=False,
            split_by_number=False,
            split_by_whitespace=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        if failed:
            raise failed[0] from error
        most = re.search(r"value <= (\d+)", str(error))
        if most is None:
            raise
        raise UserError(
            f"size={size}: the data allow at most {int(most[1]) - 1} subwords; give fewer, or more data"
        ) from error
    proto = torch.frombuffer(bytearray(written.getvalue()), dtype=torch.uint8)
    about = {"kind": kind, "size": size, "units": units, "source": stream.fingerprint, "proto_size": len(proto)}
    made: UnitBPE = build({"_target_": f"{UnitBPE.__module__}.{UnitBPE.__name__}", **about})
    made.proto.copy_(proto)
    made.fingerprint = store.identity(made)
    return made.eval()
