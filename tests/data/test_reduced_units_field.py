"""ReducedUnitsField and DurationsField: steps at load, drawn alike by both, and strangers refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from speechunits import store
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.batch_loader import BatchLoader
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import DurationsField, ReducedUnitsField, StackedUnitsField, UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.seq import unpad
from speechunits.stream import Stream
from speechunits.units.dedup import Dedup
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.unit_bpe import UnitBPE, fit_subwords

Corpus = Callable[..., Path]
HOP = Fraction(1, 50)
SECONDS = [1.0, 0.5, 0.7]


def codes(frames: int, row: int, vocab: Sequence[int]) -> np.ndarray:
    """Runs of one to four equal labels."""
    random = np.random.default_rng(row)
    runs = np.stack([random.integers(v, size=frames) for v in vocab], 1)
    return runs.repeat(random.integers(1, 5, frames), 0)[:frames].squeeze(1) if len(vocab) == 1 else runs[:frames] // 2


@pytest.fixture
def cuts(corpus: Corpus, tmp_path: Path) -> Cuts:
    return stored(corpus(SECONDS), tmp_path / "u.jsonl.gz", (9,))


def stored(manifest: Path, out: Path, vocab: Sequence[int], fingerprint: str = "km9", hop: Fraction = HOP) -> Cuts:
    with UnitWriter(out, hop, vocab, fingerprint) as writer:
        for row, cut in enumerate(open_cuts(manifest)):
            writer.write(cut, codes(round(cut.duration / float(hop)), row, vocab))
    return open_cuts(out)


def subwords(cuts: Cuts, alpha: float | None = None) -> UnitBPE:
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup()}).bind(cuts)
    assert field.stream is not None
    made = fit_subwords([field.load(cut) for cut in cuts], 14, stream=field.stream)
    made.alpha = alpha
    return made


def test_steps_in_their_order(cuts: Cuts) -> None:
    model = subwords(cuts)
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup(), "subwords": model}).bind(cuts)
    assert field.stream == Stream(None, (14,), f"km9+dedup+{model.fingerprint}")
    plain = UnitsField().bind(cuts)
    batch = field.collate([field.load(cut) for cut in cuts])
    assert batch.hop is None and batch.data.dtype == torch.int64 and field.grid == HOP and not field.whole
    for ids, cut in zip(unpad(batch), cuts, strict=True):
        whole = plain.load(cut)
        assert model.decode(ids).equal(torch.unique_consecutive(whole))
        reduced, frames = field.reduced(cut)
        assert reduced.equal(ids) and int(frames.sum()) == len(whole)
        spelled = torch.cat([model.decode(i[None]) for i in ids])
        merged, lasting = torch.unique_consecutive(whole, return_counts=True)
        assert spelled.equal(merged) and frames[0] == lasting[: len(model.decode(ids[:1]))].sum()


def test_durations_are_those_of_the_same_draws(cuts: Cuts) -> None:
    """Training draws by (seed, epoch, cut id) alone, validation and passes over a corpus do not draw."""
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup(), "subwords": subwords(cuts, 0.5)})
    fields = {"units": field, "durations": DurationsField(field)}
    data = BatchDataset(cuts, fields, seed=3)
    assert data.streams.keys() == {"units"}
    drawn = {epoch: data[Planned(epoch, (0, 1, 2))].batch for epoch in (0, 1, -1)}
    for batch in drawn.values():
        units, durations = batch["units"], batch["durations"]
        assert durations.hop == HOP and durations.lengths.equal(units.lengths)
        assert [int(d.sum()) for d in unpad(durations)] == [50, 25, 35]
        for name, ids, frames in zip(batch["ids"], unpad(units), unpad(durations), strict=True):
            whole = UnitsField().bind(cuts).load(cuts[cuts.row(name)])
            merged, lasting = torch.unique_consecutive(whole, return_counts=True)
            model: UnitBPE = field.steps["subwords"]  # type: ignore[assignment]
            ends = torch.tensor([len(model.decode(i[None])) for i in ids]).cumsum(0)
            assert model.decode(ids).equal(merged) and frames.cumsum(0).equal(lasting.cumsum(0)[ends - 1])
    assert not drawn[0]["units"].data.equal(drawn[1]["units"].data)
    best = [field.bind(cuts).load(cut) for cut in cuts]
    assert all(a.equal(b) for a, b in zip(unpad(drawn[-1]["units"]), best, strict=True))
    other = data[Planned(0, (2, 0))].batch["units"]  # company and order change nothing
    assert unpad(other)[1].equal(unpad(drawn[0]["units"])[0]) and unpad(other)[0].equal(unpad(drawn[0]["units"])[2])
    again = [data[Planned(0, (0,), visits=(n,))].batch["units"].data for n in range(8)]
    assert again[0][0].equal(unpad(drawn[0]["units"])[0])
    assert len({tuple(x[0].tolist()) for x in again}) > 1  # a cut that comes several times in an epoch is drawn anew
    assert (
        not BatchDataset(cuts, fields, seed=4)[Planned(0, (0, 1, 2))].batch["units"].data.equal(drawn[0]["units"].data)
    )
    for _, batch in FeaturePass(cuts, fields)():
        for name, ids in zip(batch["ids"], unpad(batch["units"]), strict=True):
            assert ids.equal(best[cuts.row(name)])


def test_loader_workers_draw_what_this_process_draws(cuts: Cuts) -> None:
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup(), "subwords": subwords(cuts, 0.5)})
    data = BatchDataset(cuts, {"units": field})
    planned = [Planned(epoch, (row,)) for epoch in range(2) for row in range(3)]
    here, there = ([b["units"].data for b in BatchLoader(data, planned, workers)] for workers in (0, 2))
    assert all(a.equal(b) for a, b in zip(here, there, strict=True))
    spawned = pickle.loads(pickle.dumps(data))
    assert spawned[planned[0]].batch["units"].data.equal(here[0])


def test_a_crop_is_reduced_after_it_is_cut(cuts: Cuts) -> None:
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup()})
    batch = BatchDataset(cuts, {"units": field, "durations": DurationsField(field)}, [Crop(0.3)])[
        Planned(0, (0,))
    ].batch
    plain = BatchDataset(cuts, {"units": UnitsField()}, [Crop(0.3)])[Planned(0, (0,))].batch["units"].data[0]
    assert batch["units"].data[0].equal(torch.unique_consecutive(plain)) and int(batch["durations"].data.sum()) == 15


def test_without_steps_units_are_as_they_are(cuts: Cuts) -> None:
    field = ReducedUnitsField(UnitsField(), {}).bind(cuts)
    assert field.stream == UnitsField().bind(cuts).stream
    batch = field.collate([field.load(cut) for cut in cuts])
    assert batch.hop == HOP and batch.lengths.tolist() == [50, 25, 35]


def test_strangers_are_refused(cuts: Cuts, corpus: Corpus, tmp_path: Path) -> None:
    model = subwords(cuts)
    other = stored(corpus(SECONDS, "b"), tmp_path / "v.jsonl.gz", (9,), "other")
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup(), "subwords": model})
    with pytest.raises(UserError, match=r"v.jsonl.gz: step subwords: .* fitted on 9 units km9\+dedup, .* other\+dedup"):
        field.bind(other)
    with pytest.raises(UserError, match=r"step subwords: .* these are km9; fit subwords on these"):
        ReducedUnitsField(UnitsField(), {"subwords": model}).bind(cuts)
    with pytest.raises(ValueError, match=r"steps.subwords is a Linear, which shortens no units"):
        ReducedUnitsField(UnitsField(), {"subwords": torch.nn.Linear(1, 1)})  # type: ignore[dict-item]


def test_a_step_comes_from_its_folder(cuts: Cuts, tmp_path: Path) -> None:
    model = subwords(cuts)
    store.save(model, tmp_path / "bpe", kind="subwords")
    steps = {"dedup": Dedup(), "subwords": store.restore(tmp_path / "bpe", changes={"alpha": 0.1})}
    field = ReducedUnitsField(UnitsField(), steps).bind(cuts)
    assert field.stream is not None and field.stream.fingerprint == f"km9+dedup+{model.fingerprint}"


def test_several_codebooks_are_merged_together(corpus: Corpus, tmp_path: Path) -> None:
    cuts = stored(corpus(SECONDS), tmp_path / "k.jsonl.gz", (5, 4))
    field = ReducedUnitsField(UnitsField(), {"dedup": Dedup()}).bind(cuts)
    assert field.stream == Stream(None, (5, 4), "km9+dedup")
    for cut in cuts:
        ids, frames = field.reduced(cut)
        assert ids.repeat_interleave(frames, 0).equal(UnitsField().bind(cuts).load(cut))
        assert bool((ids[1:] != ids[:-1]).any(-1).all())


def both(corpus: Corpus, folder: Path, hop: Fraction) -> Cuts:
    """Units at 20 ms under "fine", and others at ``hop`` under "coarse"."""
    manifest, others = corpus(SECONDS), {}
    for key, at, vocab in (("fine", HOP, 9), ("coarse", hop, 4)):
        out = folder / f"{key}.jsonl.gz"
        with UnitWriter(out, at, (vocab,), key, field=key, others=others) as writer:
            for row, cut in enumerate(open_cuts(manifest)):
                writer.write(cut, codes(int(cut.duration / float(at) + 1e-6), row, (vocab,)))
        manifest, others = out, writer.meta
    return open_cuts(manifest)


@pytest.mark.parametrize("hop", [Fraction(1, 50), Fraction(1, 25)])
def test_streams_side_by_side(corpus: Corpus, tmp_path: Path, hop: Fraction) -> None:
    cuts = both(corpus, tmp_path, hop)
    parts = {name: UnitsField(key=name) for name in ("coarse", "fine")}
    field = StackedUnitsField(parts).bind(cuts)
    assert field.stream == Stream(HOP, (4, 9), "coarse&fine") and field.grid == hop
    for cut in cuts:
        slow, fast = (part.bind(cuts).load(cut) for part in parts.values())
        n = min(len(fast), len(slow) * int(hop / HOP))
        slow = slow.repeat_interleave(int(hop / HOP))
        assert field.load(cut).equal(torch.stack([slow[:n], fast[:n]], 1)) and n >= 24
    reduced = ReducedUnitsField(StackedUnitsField(parts), {"dedup": Dedup()}).bind(cuts)
    assert reduced.stream == Stream(None, (4, 9), "coarse&fine+dedup")
    ids, frames = reduced.reduced(cuts[0])
    assert ids.repeat_interleave(frames, 0).equal(field.load(cuts[0]))


def test_streams_that_do_not_stack(corpus: Corpus, tmp_path: Path) -> None:
    cuts = both(corpus, tmp_path, Fraction(3, 100))
    with pytest.raises(UserError, match=r"coarse has a hop of 3/100 s, no multiple of the finest, 1/50 s"):
        StackedUnitsField({name: UnitsField(key=name) for name in ("fine", "coarse")}).bind(cuts)
    with pytest.raises(ValueError, match="each aligned with the audio"):
        StackedUnitsField({"a": UnitsField(aligned=False)})
