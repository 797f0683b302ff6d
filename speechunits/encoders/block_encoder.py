"""The encoder of recognisers: blocks of one kind, for whole utterances and for streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from speechunits.encoders.hidden import Hidden
from speechunits.encoders.stream_state import StreamState
from speechunits.nn.conformer import ConformerBlock
from speechunits.nn.horizon import Horizon
from speechunits.nn.memory import Memory
from speechunits.part import Part, fill
from speechunits.seq import Seq


class BlockEncoder(nn.Module):
    """Dropout, ``depth`` blocks, LayerNorm. Batching changes no result.

    With ``chunk``, a frame hears its own chunk of so many frames and ``left`` frames before it, in every block. A pass over a
    whole utterance then gives what passes over its chunks give, each with the state of the one before:

        state = encoder.begin()
        for piece in pieces:  # of one chunk or several; only an utterance's last may be of another length
            hidden = encoder(piece, state=state)
            state = hidden.state

    ``chunk`` and ``left`` are plain attributes: one set of weights serves whole utterances (None) and streams, best when
    ``chunks`` trained it for both (dynamic chunk training: Zhang et al. 2020, arXiv:2012.05481).

    Args:
        block: (B, T, dim) and ``Horizon`` -> (B, T, dim), with ``left_context`` of its convolutions in frames; filled with
            ``dim`` and ``heads``.
        depth: blocks.
        dim: features.
        heads: of attention.
        dropout: on the input; blocks have their own.
        layerdrop: probability of skipping a block in training.
        chunk: frames; None = a frame hears the whole utterance.
        left: frames before its chunk that a frame hears; None = all.
        chunks: what ``chunk`` is in training, in turn, another for each update (null = None): so micro-batches and ranks
            of an update share one, and a resumed run goes on where it was. Empty = ``chunk``.
        recompute: keep only what enters each block in training, and run it again in the backward pass (see
            ``TransformerEncoder``).

    Raises:
        ValueError: a chunk without frames, a negative ``left``, or heads of an odd number of features.
    """

    skips: torch.Generator | None = None  # who draws the blocks to skip: torch's own, or one that ranks share
    updates: Tensor

    def __init__(
        self,
        block: Part[nn.Module] = ConformerBlock,
        depth: int = 12,
        dim: int = 256,
        heads: int = 4,
        dropout: float = 0.1,
        layerdrop: float = 0.0,
        chunk: int | None = None,
        left: int | None = None,
        chunks: Sequence[int | None] = (),
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if any(each is not None and each < 1 for each in (chunk, *chunks)) or (left is not None and left < 0):
            raise ValueError(f"chunk={chunk}, chunks={[*chunks]}, left={left}: a chunk has a frame at least")
        self.dim_in = self.dim = dim
        self.depth, self.layerdrop, self.recompute = depth, layerdrop, recompute
        self.chunk, self.left, self.chunks = chunk, left, tuple(chunks)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)
        self.layers = nn.ModuleList(fill(block, dim=dim, heads=heads) for _ in range(depth))
        self.width = dim // heads
        if self.width % 2:
            raise ValueError(
                f"heads of {self.width} features: rotary positions turn pairs of them, so give an even number"
            )
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(BlockEncoder._at)  # by its class: a copy has its own
        self._at()

    def _at(self, *_: object) -> None:
        self.update = 0 if self.updates.is_meta else int(self.updates)  # at hand: asking a GPU at each pass would cost

    def on_step(self, step: int, root: nn.Module) -> None:
        """Go on to the next of ``chunks``."""
        self.updates.fill_(step)
        self.update = step

    @property
    def left_context(self) -> int | None:
        """Frames before a frame beyond which nothing is heard; None = unlimited."""
        if self.chunk is None or self.left is None:
            return None
        return sum(self.left + self.chunk - 1 + block.left_context for block in self.layers)

    @property
    def right_context(self) -> int | None:
        """Frames after a frame beyond which nothing is heard; None = unlimited."""
        return None if self.chunk is None else self.chunk - 1

    def begin(self) -> StreamState:
        """The state before the first piece of a batch of utterances.

        Raises:
            ValueError: the encoder hears whole utterances.
        """
        if self.chunk is None:
            raise ValueError("encoder.chunk is null: the encoder hears whole utterances; give it the frames of a chunk")
        return StreamState()

    def forward(
        self, x: Seq, cond: Seq | None = None, state: StreamState | None = None, depth: int | None = None
    ) -> Hidden:
        """(B, T, dim) -> Hidden.

        Args:
            cond: not used by this encoder.
            state: what went before, ``Hidden.state`` of that pass (with the same ``depth``) or ``begin()``; None = ``x`` is
                whole.
            depth: stop after this many blocks (``final`` is then the last one computed, without the LayerNorm).

        Raises:
            ValueError: the piece before this one was not made of whole chunks.
        """
        learning = self.training and state is None
        chunk = self.chunks[self.update % len(self.chunks)] if learning and self.chunks else self.chunk
        start = 0 if state is None else state.frames
        if chunk is not None and start % chunk:
            raise ValueError(
                f"{start} frames went before, not a multiple of the {chunk} of a chunk: only the last may differ"
            )
        horizon = Horizon.over(x, self.width, chunk, self.left, start)
        y = self.dropout(horizon.clear(x.data))
        layers, kept = [y], []
        for i, block in enumerate(self.layers[:depth]):
            if state is not None:
                memory = Memory(state.past[i] if state.past else ())
                y = block(y, replace(horizon, memory=memory))
                kept.append(tuple(memory.kept))
            elif not (learning and self.layerdrop and float(torch.rand((), generator=self.skips)) < self.layerdrop):
                if self.recompute and learning and torch.is_grad_enabled():
                    y = checkpoint(block, y, horizon, use_reentrant=False)
                else:
                    y = block(y, horizon)
            layers.append(y)
        final = self.norm(y) if depth is None else y
        after = None if state is None else StreamState(start + x.data.size(1), tuple(kept))
        return Hidden(tuple(layers), x.with_data(final), state=after)
