"""Text as pieces of words, found by sentencepiece."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
import sentencepiece
import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.text.resegment import merge, sample
from speechunits.text.unknown import unknown

SPACE = "▁"  # what sentencepiece writes for the space before a word
UNKNOWN = 1  # sentencepiece cannot do without a symbol for the unknown: its first one, which has no id here


class Subwords(nn.Module):
    """Pieces by byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) or by a unigram model (Kudo
    2018, https://arxiv.org/abs/1804.10959).

    The model of sentencepiece is a buffer, so that it is saved, restored and fingerprinted as weights are. Text is taken as
    it is (``text.normaliser`` is for changing it), so decoding gives it back but for white space. Made by ``fit_subwords``.

    Args:
        kind: how pieces are chosen.
        size: of the vocabulary; ids run from 0 to size - 1, none of them special.
        proto_size: bytes of the model.
    """

    proto: Tensor

    def __init__(self, kind: Literal["bpe", "unigram"], size: int, proto_size: int) -> None:
        super().__init__()
        self.kind, self.size, self.fingerprint = kind, size, ""
        self.register_buffer("proto", torch.zeros(proto_size, dtype=torch.uint8))
        self.register_load_state_dict_post_hook(Subwords._read)  # by its class: a copy reads its own

    def _read(self, *_: object) -> None:
        self.fingerprint = store.identity(self)
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=self.proto.cpu().numpy().tobytes())
        self.symbols = tuple(self.processor.id_to_piece(i + UNKNOWN) for i in range(self.size))
        self.ids = {piece: i for i, piece in enumerate(self.symbols)}
        self.scores = {piece: self.processor.get_score(i + UNKNOWN) for piece, i in self.ids.items()}
        self.characters = {" ", *(piece for piece in self.symbols if len(piece) == 1)} - {SPACE}

    @property
    def stream(self) -> Stream:
        """What consumers must know; text has no hop."""
        return Stream(None, (self.size,), self.fingerprint)

    def _clean(self, text: str) -> str:
        text = " ".join(text.split())
        if strange := set(text) - self.characters:
            raise unknown(strange, text, self.size, self.fingerprint)
        return text

    def encode(self, text: str) -> Tensor:
        """(N,) int64; white space of any length is one space.

        Raises:
            UserError: a character was not in the text that the pieces were fitted on.
        """
        return torch.tensor(self.processor.encode(self._clean(text)), dtype=torch.int64) - UNKNOWN

    def resample(self, text: str, strength: float, generator: np.random.Generator) -> Tensor:
        """(N,) int64: ``text`` in other pieces, for training (BPE-dropout: Provilkov et al. 2020, arXiv:1910.13267; subword
        regularisation: Kudo 2018, section 3.3).

        Args:
            strength: of BPE, the probability that a merge is left out (0.1; 0 = as ``encode``); of a unigram model, the
                power of the probabilities by which segmentations are drawn (0.1 to 0.5; the higher, the more like
                ``encode``).
            generator: of the utterance (``Draws.generator``).

        Raises:
            UserError: as ``encode``.
        """
        cut = merge if self.kind == "bpe" else sample
        words = self._clean(text).split()
        pieces = [piece for word in words for piece in cut(SPACE + word, self.scores, strength, generator)]
        return torch.tensor([self.ids[piece] for piece in pieces], dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """The text of (N,) ids."""
        return " ".join("".join(self.symbols[i] for i in ids.tolist()).replace(SPACE, " ").split())


def _place() -> str:
    return f"{Subwords.__module__}.{Subwords.__name__}"


def fit_subwords(texts: Iterable[str], kind: Literal["bpe", "unigram"] = "bpe", size: int = 500) -> Subwords:
    """``size`` pieces of ``texts``, each of their characters among them; the same for the same texts in the same order.

    Raises:
        UserError: there is no text, or it does not have so many pieces or has more characters.
    """
    lines = [line for text in texts if (line := " ".join(text.split()))]
    if not lines:
        raise UserError("no text to take pieces from; give manifests with transcripts")
    if found := [line for line in lines if SPACE in line]:
        raise UserError(f"{SPACE!r} of {found[0][:60]!r} stands for the space in sentencepiece; clean the transcripts")
    made = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=made, model_type=kind, vocab_size=size + UNKNOWN,
            character_coverage=1.0, normalization_rule_name="identity", unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
            max_sentence_length=max(10, *(len(line.encode()) for line in lines)), num_threads=1, minloglevel=2,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        most = re.search(r"value <= (\d+)", str(error))
        why = f"it has at most {int(most[1]) - UNKNOWN}" if most else str(error).rsplit("] ", 1)[-1]
        raise UserError(
            f"tokenizer.size={size}: there are not so many {kind} pieces in this text, or it has more characters ({why}); give "
            "another size, or more text"
        ) from error
    proto = torch.frombuffer(bytearray(made.getvalue()), dtype=torch.uint8)
    out: Subwords = build({"_target_": _place(), "kind": kind, "size": size, "proto_size": len(proto)})
    out.load_state_dict({"proto": proto})
    return out
