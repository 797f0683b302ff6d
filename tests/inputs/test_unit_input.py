from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.inputs.attention_fusion import AttentionFusion
from speechunits.inputs.bucketed_duration import BucketedDuration
from speechunits.inputs.concat_fusion import ConcatFusion
from speechunits.inputs.log_duration import LogDuration
from speechunits.inputs.unit_corruption import UnitCorruption
from speechunits.inputs.unit_input import UnitInput
from speechunits.maskers.spec_augment import SpecAugment
from speechunits.nn.conv1d_subsampling import Conv1dSubsampling
from speechunits.seq import pad, unpad
from speechunits.stream import Stream

HOP = Fraction(1, 50)
STREAMS = {
    "units": Stream(HOP, (5,), "abc"),
    "two": Stream(HOP, (5, 7), "abc"),
    "merged": Stream(None, (5,), "abc+dedup"),
}


def batch(*lengths: int, field: str = "units", hop: Fraction | None = HOP) -> dict[str, Any]:
    """Utterances of so many units, each the same whatever stands beside it."""
    made, lasting = [], []
    for n in lengths:
        g = torch.Generator().manual_seed(n)
        made.append(torch.stack([torch.randint(v, (n,), generator=g) for v in STREAMS[field].vocab], 1))
        lasting.append(torch.randint(1, 9, (n,), generator=g))
    units = [x if len(STREAMS[field].vocab) > 1 else x[:, 0] for x in made]
    ids = [str(n) for n in lengths]
    return {field: pad(units, hop), "durations": pad(lasting, HOP), "draws": draws(ids, 1, 2), "ids": ids}


def test_each_unit_has_its_vector_and_padding_none() -> None:
    made = UnitInput(3, streams=STREAMS)
    given = {"units": pad([torch.tensor([4, 0, 4]), torch.tensor([1])], HOP)}
    heard = made(given)
    weight = made.embeddings[0].weight
    torch.testing.assert_close(heard.data[0], weight[[4, 0, 4]])
    torch.testing.assert_close(heard.data[1], torch.cat([weight[[1]], torch.zeros(2, 3)]))
    assert heard.hop == HOP and made.lengths(given).tolist() == [3, 1] and made.labels == {"units": "abc"}
    stacked = {"units": given["units"].with_data(given["units"].data[..., None])}  # as tokenizers give it
    torch.testing.assert_close(made(stacked).data, heard.data)


def test_what_it_cannot_read_is_refused() -> None:
    for field in ("text", "vectors"):
        with pytest.raises(ValueError, match=f"no field '{field}' of units; it has: units, two, merged"):
            UnitInput(3, field, streams={**STREAMS, "vectors": Stream(HOP, (), "abc")})
    made = UnitInput(3, "merged", durations=LogDuration, streams=STREAMS)
    given = batch(4, field="merged", hop=None)
    for wrong in ({k: v for k, v in given.items() if k != "durations"}, {**given, "durations": batch(5)["durations"]}):
        with pytest.raises(UserError, match=r"no durations of merged; add data.fields.durations: a DurationsField of"):
            made(wrong)


def test_codebooks_are_fused() -> None:
    """Against the equations, written out."""
    given = batch(6, field="two")
    ids = given["two"].data[0]
    for fusion in (None, ConcatFusion, AttentionFusion):
        torch.manual_seed(0)
        made = UnitInput(4, "two", fusion=fusion, streams=STREAMS)
        x = torch.stack([e.weight[ids[:, k]] for k, e in enumerate(made.embeddings)], 1)  # (T, K, D)
        if fusion is None:
            expected = x[:, 0] + x[:, 1]
        elif fusion is ConcatFusion:
            expected = torch.cat([x[:, 0], x[:, 1]], 1) @ made.fusion.linear.weight.T + made.fusion.linear.bias
        else:
            f = made.fusion
            scores = (x @ f.key.weight.T + f.key.bias).clamp(min=0) @ f.score.weight[0]
            weights = scores.exp() / scores.exp().sum(1, keepdim=True)
            expected = (weights[..., None] * x).sum(1)
            torch.testing.assert_close(f.weights(x[None])[0], weights)
        torch.testing.assert_close(made(given).data[0], expected)


def test_durations_are_added() -> None:
    given = batch(5, field="merged", hop=None)
    given["durations"] = pad([torch.tensor([1, 2, 3, 9, 40])], HOP)
    plain = UnitInput(4, "merged", streams=STREAMS)
    logarithm = UnitInput(4, "merged", durations=LogDuration, streams=STREAMS)
    logarithm.embeddings.load_state_dict(plain.embeddings.state_dict())
    linear = logarithm.durations.linear
    vectors = torch.tensor([2.0, 3, 4, 10, 41]).log()[:, None] @ linear.weight.T + linear.bias
    torch.testing.assert_close(logarithm(given).data[0] - plain(given).data[0], vectors)
    buckets = UnitInput(4, "merged", durations=BucketedDuration, streams=STREAMS)
    buckets.embeddings.load_state_dict(plain.embeddings.state_dict())
    vectors = buckets.durations.vectors.weight[[0, 1, 2, 5, 8]]  # 1 | 2 | 3 | 4 | 5 6 | 7 8 9 | 10.. | 15.. | 25..
    torch.testing.assert_close(buckets(given).data[0] - plain(given).data[0], vectors)
    with pytest.raises(ValueError, match="give durations that rise"):
        BucketedDuration([3, 3], dim=4)


def whole(field: str = "two") -> UnitInput:
    torch.manual_seed(0)
    return UnitInput(
        6,
        field,
        fusion=AttentionFusion,
        durations=BucketedDuration,
        corruption=UnitCorruption(0.3),
        augment=SpecAugment(bands=0, time_masks=3, time_share=0.3),
        subsampling=Conv1dSubsampling(dim=8, dim_in=6),
        streams=STREAMS,
    ).double()


@pytest.mark.parametrize("training", [False, True])
def test_batch_mates_change_nothing(training: bool) -> None:
    made, lengths = whole(), (30, 11, 1)
    heard = made(given := batch(*lengths, field="two"), given["draws"] if training else None)
    assert heard.data.shape == (3, 15, 8) and made.dim == 8 and heard.hop == HOP * 2
    assert heard.lengths.tolist() == made.lengths(given).tolist() == [15, 6, 1]
    for row, n in zip(unpad(heard), lengths, strict=True):
        alone = batch(n, field="two")
        torch.testing.assert_close(row, made(alone, alone["draws"] if training else None).data[0])
    heard.data.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in made.parameters())


def test_training_hides_and_distorts_by_its_draws_alone() -> None:
    made, given = whole(), batch(30, 11, field="two")
    once, again = made(given, given["draws"]), made(given, draws(["30", "11"], 1, 2))
    torch.testing.assert_close(once.data, again.data, rtol=0, atol=0)
    assert not made(given, draws(["30", "11"], 1, 3)).data.equal(once.data) and not made(given).data.equal(once.data)


def test_edges_in_seconds() -> None:
    plain = UnitInput(3, streams=STREAMS)
    edges = plain.edges(batch(3, 1))
    assert edges is not None and edges.dtype == torch.float64
    assert edges.tolist() == [[t * 0.02 for t in row] for row in ([0, 1, 2, 3], [0, 1, 1, 1])]
    merged = UnitInput(3, "merged", subsampling=Conv1dSubsampling(dim=3, dim_in=3), streams=STREAMS)
    given = batch(5, 2, field="merged", hop=None)
    given["durations"] = pad([torch.tensor([4, 1, 2, 3, 7]), torch.tensor([2, 2])], HOP)
    edges = merged.edges(given)
    assert edges is not None and merged.lengths(given).tolist() == [3, 1]
    assert edges.tolist() == [[t * 0.02 for t in row] for row in ([0, 5, 10, 17], [0, 4, 4, 4])]
    assert merged.edges({"merged": given["merged"]}) is None


def test_configured_parts_are_filled() -> None:
    node = {
        "_target_": "speechunits.inputs.unit_input.UnitInput",
        "dim": 4,
        "field": "two",
        "fusion": {"_target_": "speechunits.inputs.concat_fusion.ConcatFusion"},
        "durations": {"_target_": "speechunits.inputs.log_duration.LogDuration"},
        "corruption": {"_target_": "speechunits.inputs.unit_corruption.UnitCorruption", "share": 0.1},
        "augment": {"_target_": "speechunits.maskers.spec_augment.SpecAugment", "bands": 0},
        "subsampling": {"_target_": "speechunits.nn.conv1d_subsampling.Conv1dSubsampling", "dim": 8},
    }
    made = build(node, streams=STREAMS)
    assert made.dim == 8 and made(batch(9, field="two")).data.shape == (1, 5, 8)
