"""UnitTokenizer: the same codes alone, in a batch, in chunks and after a trip to disk."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.units.dedup import Dedup
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer

MFCC: dict[str, Any] = {"_target_": "speechunits.frontends.mfcc.MFCC"}
LOGMEL: dict[str, Any] = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "hop": "1/50"}
CONV: dict[str, Any] = {"_target_": "speechunits.frontends.conv.ConvFrontend", "channels": 8, "norm": "layer"}


def encoder(frontend: dict[str, Any]) -> dict[str, Any]:
    positions = {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 9, "groups": 2}
    layers = {"depth": 2, "dim": 16, "ffn": 32, "heads": 2, "dropout": 0.3, "positions": positions}
    return {
        "_target_": "speechunits.encoder.SpeechEncoder",
        "frontend": frontend,
        "projection": {"_target_": "speechunits.nn.projection.FeatureProjection"},
        "encoder": {"_target_": "speechunits.encoders.transformer.TransformerEncoder", **layers},
    }


def features(source: dict[str, Any], **more: Any) -> Features:
    torch.manual_seed(2)
    made: Features = build({"_target_": "speechunits.units.features.Features", "source": source, **more})
    return made.eval()


def audio(*seconds: float, seed: int = 0) -> Seq:
    """Noise whose colour and level change every 50 to 150 ms."""
    rng, rows = torch.Generator().manual_seed(seed), []
    for s in seconds:
        x = torch.empty(0)
        while len(x) < s * 16000:
            n = int(torch.randint(800, 2400, (1,), generator=rng))
            width = int(torch.randint(1, 12, (1,), generator=rng))
            smooth = torch.randn(n + width, generator=rng).unfold(0, width, 1).mean(1)[:n]
            x = torch.cat([x, smooth * 10 ** float(torch.rand((), generator=rng) * 2 - 2)])
        rows.append(x[: round(s * 16000)])
    return pad(rows, Fraction(1, 16000))


def alone(seq: Seq, row: int) -> Seq:
    return Seq(seq.data[row : row + 1, : int(seq.lengths[row])], seq.lengths[row : row + 1], seq.hop)


def fitted(source: Features, size: int = 12) -> UnitTokenizer:
    batch = audio(3.0, 2.0, seed=9)
    fitter = KMeansFitter(size, reservoir=1000)
    codebook, _ = fitter.fit(lambda start: [(0, ["a", "b"], source(batch))][start:])
    return UnitTokenizer.join(source, codebook)


@pytest.mark.parametrize(
    ("source", "more"),
    [
        (MFCC, {}),
        (MFCC, {"every": 2, "pool": "mean"}),
        (LOGMEL, {}),
        (encoder(LOGMEL), {"read": "layer:1"}),
        (encoder(CONV), {"read": "final"}),
    ],
)
def test_a_batch_has_the_codes_of_its_utterances(source: dict[str, Any], more: dict[str, Any]):
    tokenizer = fitted(features(source, **more))
    batch = audio(1.5, 0.4, 0.93, 0.2)
    together = unpad(tokenizer.codes(batch))
    for row, codes in enumerate(together):
        assert torch.equal(codes, unpad(tokenizer.codes(alone(batch, row)))[0])
    seen = torch.cat(together)
    assert seen.dtype == torch.int64 and seen.shape[1] == 1 and len(seen.unique()) > 5, "a test of few codes is none"
    padding = tokenizer.codes(batch)
    assert (padding.data[~padding.valid] == -1).all()


@pytest.mark.parametrize("source", [MFCC, CONV])
def test_chunks_have_the_codes_of_the_whole(source: dict[str, Any]):
    batch, chunks = audio(5.3, 2.1, 0.7), {"chunk": 1.3, "context": 0.2}
    tokenizer = fitted(features(source))
    cut = UnitTokenizer.join(features(source, **chunks), tokenizer.quantizer)
    cut.features.load_state_dict(tokenizer.features.state_dict())
    for whole, parts in zip(unpad(tokenizer.codes(batch)), unpad(cut.codes(batch)), strict=True):
        assert torch.equal(whole, parts)


def test_a_transformer_in_chunks_agrees_at_their_borders_as_elsewhere():
    batch, source = audio(24.0), encoder(LOGMEL | {"normalize": "none"})
    tokenizer = fitted(features(source, read="layer:2"), 20)
    cut = UnitTokenizer.join(features(source, read="layer:2", chunk=4.0, context=1.5), tokenizer.quantizer)
    cut.features.load_state_dict(tokenizer.features.state_dict())
    same = (tokenizer.codes(batch).data == cut.codes(batch).data)[0, :, 0]
    near = torch.zeros_like(same)
    for border in range(50, len(same), 50):
        near[border - 2 : border + 2] = True
    assert float(same.float().mean()) > 0.98
    assert float(same[near].float().mean()) > 0.98


def test_saved_and_loaded(tmp_path: Path):
    tokenizer, batch = fitted(features(encoder(CONV), read="layer:2", every=2)), audio(1.0, 0.6)
    before = tokenizer.encode(batch)
    name = tokenizer.save(tmp_path / "tok", derived_from=["mother"])
    loaded = UnitTokenizer.load(tmp_path / "tok")
    after = loaded.encode(batch)
    assert torch.equal(before.ids.data, after.ids.data) and after.fingerprint == name == loaded.fingerprint
    assert loaded.stream == Stream(Fraction(1, 25), (12,), name) and after.ids.hop == Fraction(1, 25)
    meta = store.read_meta(tmp_path / "tok")
    assert (meta["kind"], meta["hop"], meta["vocab"]) == ("tokenizer", "1/25", [12])
    assert meta["derived_from"] == ["mother"]
    assert not loaded.training and not any(m.training for m in loaded.modules())
    assert store.save(loaded, tmp_path / "again") == name


def test_the_fingerprint_is_of_what_decides_the_codes(tmp_path: Path):
    one, same = (fitted(features(MFCC)) for _ in range(2))
    other = fitted(features(MFCC, every=2))
    moved = fitted(features(MFCC))
    moved.quantizer.centroids[0, 0] += 1e-3  # type: ignore[index, operator]
    names = [t.save(tmp_path / str(i)) for i, t in enumerate((one, same, other, moved))]
    assert names[0] == names[1] and len(set(names)) == 3


def test_shrink_is_part_of_the_artefact(tmp_path: Path):
    plain = fitted(features(MFCC))
    dedup = UnitTokenizer.join(plain.features, plain.quantizer, [build({"_target_": "speechunits.units.dedup.Dedup"})])
    assert dedup.save(tmp_path / "d") != plain.save(tmp_path / "p")
    batch = audio(0.7)
    merged = UnitTokenizer.load(tmp_path / "d").encode(batch)
    assert merged.durations is not None and merged.ids.hop is None
    assert torch.equal(Dedup.expand(merged).ids.data, plain.encode(batch).ids.data)
    assert torch.equal(dedup.codes(batch).data, plain.codes(batch).data), "stored codes are never merged"


def test_only_what_a_configuration_built_can_be_saved(tmp_path: Path):
    from speechunits.frontends.mfcc import MFCC as Frontend

    tokenizer = fitted(features(MFCC))
    with pytest.raises(UserError, match="built by hand"):
        UnitTokenizer.join(Features(Frontend()), tokenizer.quantizer)


def test_another_artefact_is_no_tokenizer(tmp_path: Path):
    store.save(build(encoder(LOGMEL)), tmp_path / "encoder")
    with pytest.raises(UserError, match=r"encoder: holds a SpeechEncoder, but a UnitTokenizer is needed"):
        UnitTokenizer.load(tmp_path / "encoder")
