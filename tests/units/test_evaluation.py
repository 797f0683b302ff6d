"""FeatureBank and Evaluation: what they report is what the metrics say about the codes of a plain tokenizer."""

from __future__ import annotations

from statistics import mean
from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.phone_field import PhoneField
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.frontends.mfcc import MFCC
from speechunits.metrics.bitrate import entropy_bitrate
from speechunits.metrics.contingency import cluster_purity, contingency, phone_purity, pnmi
from speechunits.metrics.edit_distance import edit_distance
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.seq import Seq, unpad
from speechunits.units.corpus import Corpus as Labelled
from speechunits.units.evaluation import Evaluation
from speechunits.units.feature_bank import FeatureBank
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.views.add_noise import AddNoise
from tests.recipes.toy import Corpus
from tests.units.test_tokenizer import LOGMEL, encoder

SIZE = 6


def labelled(corpus: Corpus, split: str) -> Labelled:
    return Labelled(str(getattr(corpus, split)), str(corpus.symbols), "1/50")


def evaluation(bank: Any, fit_frames: int = 10_000) -> Evaluation:
    return Evaluation(bank, SIZE, {}, fit_frames, ["sil"], ["triphone"], 10.0)


def net() -> SpeechEncoder:
    torch.manual_seed(2)
    return build(encoder(LOGMEL)).eval()


# ------------------------------------------------------------------------------------------------ FeatureBank


def test_all_candidates_in_one_pass_are_those_of_features(corpus: Corpus):
    source = net()
    bank = FeatureBank(source, ["layer:1", "layer:2", "clean"], ["first", "mean"], every=2)
    assert list(bank.candidates) == [f"{r}/{p}2" for r in ("layer:1", "layer:2", "clean") for p in ("first", "mean")]
    passes = FeaturePass(open_cuts(corpus.valid), {"audio": AudioField()}, 2.0)
    kept, rest = bank.read(passes)
    for _, batch in passes():
        for name, vectors in kept.items():
            read, pool = name.split("/")
            want = Features(source, read, 2, pool.removesuffix("2"))(batch["audio"])  # type: ignore[arg-type]
            for key, x in zip(batch["ids"], unpad(want), strict=True):
                torch.testing.assert_close(vectors[key], x, rtol=1e-5, atol=1e-6)
    assert [b["ids"] for b in rest] == [b["ids"] for _, b in passes()] and "audio" not in rest[0]


def test_only_the_wanted_candidates_are_read_and_no_layer_above_them(corpus: Corpus):
    source = net()
    bank = FeatureBank(source, ["layer:1", "layer:2", "clean"])
    passes = FeaturePass(open_cuts(corpus.valid), {"audio": AudioField()}, 2.0)
    everything, _ = bank.read(passes)
    source.encoder.layers[1].forward = None  # type: ignore[assignment]  # the second layer cannot be run
    kept, _ = bank.read(passes, names=["layer:1"])
    assert set(kept) == {"layer:1"} and set(everything) == {"layer:1", "layer:2", "clean"}
    assert all(torch.equal(x, everything["layer:1"][key]) for key, x in kept["layer:1"].items())


def test_codebooks_are_fitted_on_cuts_drawn_evenly(corpus: Corpus):
    """A third of the frames: cuts from the first to the last of the manifest, and of all lengths, not the longest."""
    train = labelled(corpus, "train")
    hop, seconds = FeatureBank(MFCC()).hop, open_cuts(corpus.train).seconds
    ids = open_cuts(corpus.train).ids
    wanted = int(seconds.sum() / 3 / float(hop))
    run = evaluation(bank := FeatureBank(MFCC()), wanted)
    seen: list[dict[str, Any]] = []
    read = bank.read
    bank.read = lambda *a, **k: seen.append(read(*a, **k)[0]) or (seen[-1], [])  # type: ignore[method-assign]
    run.fit(train, [0])
    (kept,) = seen
    rows = sorted(ids.index(key) for key in kept["clean"])
    assert rows == [0, 4, 8] and len(ids) == 9
    assert len(run.codebooks["clean"][0].centroids) == SIZE
    assert seconds[rows].mean() < 1.2 * seconds.mean()


def test_the_stream_of_kept_vectors(corpus: Corpus):
    bank = FeatureBank(MFCC())
    kept, _ = bank.read(FeaturePass(open_cuts(corpus.valid), {"audio": AudioField()}, 2.0))
    stream = list(bank.stream(kept["clean"])(1))
    assert [i for i, _, _ in stream] == [1, 2, 3]
    for _, (key,), seq in stream:
        assert torch.equal(unpad(seq)[0], kept["clean"][key]) and seq.hop == bank.hop


# ------------------------------------------------------------------------------------------------ Evaluation


@pytest.fixture(scope="module")
def measured(corpus: Corpus) -> dict[str, Any]:
    """A fitted run with its figures, and the same codebook inside a plain tokenizer."""
    run = evaluation(FeatureBank(MFCC(), pools=["first", "mean"], every=2))
    run.fit(labelled(corpus, "train"), [0, 3])
    mfcc = {"_target_": "speechunits.frontends.mfcc.MFCC"}
    place = "speechunits.units.features.Features"
    source = build({"_target_": place, "source": mfcc, "every": 2, "pool": "mean"})
    stream = FeaturePass(open_cuts(corpus.train), {"audio": AudioField()}).features(source)
    codebook, _ = KMeansFitter(SIZE, seed=3).fit(stream)
    valid = labelled(corpus, "valid")
    return {
        "run": run,
        "purity": run.compare(valid, abx=True),
        "measure": run.measure("clean/mean2", valid),
        "tokenizer": UnitTokenizer.join(source, codebook),
    }


def utterances(corpus: Corpus, tokenizer: UnitTokenizer, noise: AddNoise | None = None) -> list[dict[str, Any]]:
    """Codes and phones of each validation utterance, one by one."""
    fields = {"audio": AudioField(), "phones": PhoneField(str(corpus.symbols))}
    out = []
    for _, batch in FeaturePass(open_cuts(corpus.valid), fields, max_seconds=0.01)():
        audio: Seq = batch["audio"] if noise is None else noise(batch["audio"], batch["draws"])
        codes, phones = unpad(tokenizer.codes(audio))[0][:, 0], unpad(batch["phones"])[0]
        out.append({"codes": codes, "phones": phones, "seconds": float(audio.lengths[0]) / 16000})
    return out


def test_the_codebook_is_that_of_a_plain_fit(measured: dict[str, Any]):
    mine = measured["run"].codebooks["clean/mean2"][3].centroids
    theirs = measured["tokenizer"].quantizer.centroids
    order = [int((theirs - c).norm(dim=1).argmin()) for c in mine]
    assert sorted(order) == list(range(SIZE))
    torch.testing.assert_close(mine, theirs[order], rtol=1e-3, atol=1e-2)


def test_purity_is_that_of_the_tokenizers_codes(corpus: Corpus, measured: dict[str, Any]):
    rows = utterances(corpus, measured["tokenizer"])
    pairs = [(r["phones"][: len(r["codes"])], r["codes"][: len(r["phones"])]) for r in rows]
    counts = contingency(torch.cat([p for p, _ in pairs]), torch.cat([c for _, c in pairs]))
    found = measured["purity"]["clean/mean2"][3]
    assert found["pnmi"] == pytest.approx(pnmi(counts), abs=1e-9) and 0.05 < found["pnmi"] < 1
    assert found["phone_purity"] == pytest.approx(phone_purity(counts), abs=1e-9)
    assert found["cluster_purity"] == pytest.approx(cluster_purity(counts), abs=1e-9)
    assert set(measured["purity"]) == {"clean/first2", "clean/mean2"}
    assert measured["measure"][3]["pnmi"] == found["pnmi"]


def test_usage_and_bitrate_are_those_of_the_tokenizers_codes(corpus: Corpus, measured: dict[str, Any]):
    rows, found = utterances(corpus, measured["tokenizer"]), measured["measure"][3]
    codes = torch.cat([r["codes"] for r in rows])
    assert found["usage"] == pytest.approx(len(codes.unique()) / SIZE)
    # without audio in the measure's batch a unit lasts its hop: 20 ms
    assert found["bitrate"] == pytest.approx(entropy_bitrate(codes, len(codes) / 50), rel=1e-9)


def test_the_unit_error_rate_is_that_of_noisy_audio(corpus: Corpus, measured: dict[str, Any]):
    clean = utterances(corpus, measured["tokenizer"])
    noisy = utterances(corpus, measured["tokenizer"], AddNoise(10.0))
    rates = []
    for a, b in zip(clean, noisy, strict=True):
        short = [torch.unique_consecutive(x["codes"]) for x in (a, b)]
        rates.append(int(edit_distance(short[:1], short[1:])) / len(short[0]))
    assert measured["measure"][3]["uer"] == pytest.approx(100 * mean(rates), abs=1e-6) and max(rates) > 0


def test_abx_of_vectors_comes_once(measured: dict[str, Any]):
    first, second = measured["measure"][0], measured["measure"][3]
    assert any(k.startswith("abx_features") for k in first) and not any(k.startswith("abx_features") for k in second)
    assert all(0 <= v <= 1 for k, v in first.items() if k.startswith("abx") and v == v)


def test_places(measured: dict[str, Any]):
    assert [Evaluation.place(p) for p in ("layer:3", "clean/mean2", "final")] == [{"layer": 3}, {}, {}]
    with pytest.raises(UserError, match="not MFCC"):
        evaluation(MFCC())
