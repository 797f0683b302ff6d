"""transformers to ours and back: every hidden state, whatever the kind of model; and folders that are not whole."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from speechunits import store
from speechunits.config import build, load
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.exchange.source import read_model
from speechunits.exchange.transformers_folder import write_folder
from speechunits.nn import hf
from speechunits.stream import Stream
from tests.exchange.toy import KINDS, NAMES, audio, folder, heard, model

LENGTHS = (16000, 9000, 4100)


def compare(ours: SpeechEncoder, theirs: Any, path: Path) -> None:
    """Each utterance alone; and, where no norm runs over time, as a padded batch of ours."""
    batch = audio(*LENGTHS)
    per_frame = theirs.config.to_dict().get("feat_extract_norm") != "group"
    with torch.no_grad():
        together = ours(batch)
        for i, (n, x) in enumerate(zip(LENGTHS, heard(batch, path), strict=True)):
            out = theirs(x, output_hidden_states=True)
            row = batch.data[i : i + 1, :n]
            look = ours(type(batch)(row, torch.tensor([n]), batch.hop))
            assert len(out.hidden_states) == len(look.hidden.layers) == 4
            for layer, (state, expected) in enumerate(zip(look.hidden.layers, out.hidden_states, strict=True)):
                torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)
                if per_frame:
                    part = together.hidden.layers[layer][i, : expected.size(1)]
                    torch.testing.assert_close(part, expected[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(look.read("final").data, out.last_hidden_state, rtol=0, atol=1e-5)
            at = look.read("layer:2").data
            torch.testing.assert_close(at, out.hidden_states[2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("normalize", [False, True], ids=["as-is", "normalised"])
@pytest.mark.parametrize(("kind", "norm", "first"), KINDS, ids=NAMES)
def test_in_and_out_again(kind: str, norm: str, first: bool, normalize: bool, tmp_path: Path) -> None:
    theirs = model(kind, norm, first)
    found = read_model(folder(theirs, tmp_path / "in", normalize))
    assert (found.kind, found.left, found.head) == (f"transformers {kind}", [], None)
    compare(found.encoder, theirs, tmp_path / "in")

    name = found.save(tmp_path / "ours")
    kept = store.restore(tmp_path / "ours", expect=SpeechEncoder)
    compare(kept, theirs, tmp_path / "in")

    back = "hubert" if kind == "wav2vec2" else kind  # the same architecture, under one name
    assert write_folder(tmp_path / "ours", tmp_path / "out") == back
    again = getattr(transformers, f"{hf.MODELS[back]}Model").from_pretrained(tmp_path / "out").eval()
    compare(kept, again, tmp_path / "out")
    mine, settings = theirs.state_dict(), json.loads((tmp_path / "out" / "config.json").read_text())
    for key, weight in again.state_dict().items():
        assert torch.equal(weight, mine[key]), key
    assert settings["speechunits"]["derived_from"] == [name]

    third = read_model(tmp_path / "out")
    assert third.derived_from == [name] and store.identity(third.encoder) == name
    third.save(tmp_path / "third")
    assert store.read_meta(tmp_path / "third")["derived_from"] == [name]


@pytest.mark.parametrize("system", ["hubert_base", "hubert_large", "dinosr_base"])
def test_what_we_train_is_loaded_by_transformers(system: str, tmp_path: Path) -> None:
    """The systems of conf/ at toy size; DinoSR has the architecture of data2vec."""
    streams = {"units": Stream(Fraction(1, 50), (7,), "x")}
    ours = build(load(f"system/{system}.yaml", "size/toy.yaml")["model"], streams=streams).encoder.eval()
    store.save(ours, tmp_path / "ours")
    kind = write_folder(tmp_path / "ours", tmp_path / "out")
    assert kind == ("data2vec-audio" if system == "dinosr_base" else "hubert")
    theirs = getattr(transformers, f"{hf.MODELS[kind]}Model").from_pretrained(tmp_path / "out").eval()
    assert theirs.config.mask_time_prob == 0.8 and torch.equal(theirs.masked_spec_embed, ours.masker.vector)
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "out")
    assert extractor.do_normalize == (system != "hubert_base")
    loud = audio(16000)  # so loud that 1e-5 and 1e-7 under the root are alike
    loud = loud.with_data(loud.data * 5)
    with torch.no_grad():
        out = theirs(heard(loud, tmp_path / "out")[0], output_hidden_states=True)
        for state, expected in zip(ours(loud).hidden.layers, out.hidden_states, strict=True):
            torch.testing.assert_close(state, expected, rtol=0, atol=1e-4)


def test_no_norm_in_the_projection(tmp_path: Path) -> None:
    """DistilHuBERT."""
    theirs = model("hubert", feat_proj_layer_norm=False)
    found = read_model(folder(theirs, tmp_path / "in"))
    compare(found.encoder, theirs, tmp_path / "in")
    found.save(tmp_path / "ours")
    write_folder(tmp_path / "ours", tmp_path / "out")
    compare(found.encoder, transformers.HubertModel.from_pretrained(tmp_path / "out").eval(), tmp_path / "out")


def test_a_model_under_a_head(tmp_path: Path) -> None:
    """Fine-tuned models: the body is found, the head is left out, and a mask that was dropped is not missed."""
    config = model("wav2vec2").config
    theirs = transformers.Wav2Vec2ForCTC(config).eval()
    folder(theirs, tmp_path / "ctc")
    weights = {n: t for n, t in theirs.state_dict().items() if n != "wav2vec2.masked_spec_embed"}
    from safetensors.torch import save_file

    save_file(weights, tmp_path / "ctc" / "model.safetensors", metadata={"format": "pt"})
    found = read_model(tmp_path / "ctc")
    assert found.encoder.masker is None
    compare(found.encoder, theirs.wav2vec2, tmp_path / "ctc")


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "wavlm"])
def test_folders_of_the_hub_have_the_old_names_of_weight_norm(kind: str, tmp_path: Path) -> None:
    """weight_g and weight_v, in pytorch_model.bin, as facebook/hubert-base-ls960 and its kin were uploaded."""
    theirs = model(kind)
    folder(theirs, tmp_path / "in")
    (tmp_path / "in" / "model.safetensors").unlink()
    new = "conv.parametrizations.weight.original"
    old = {
        n.replace(f"{new}0", "conv.weight_g").replace(f"{new}1", "conv.weight_v"): t
        for n, t in theirs.state_dict().items()
    }
    assert "encoder.pos_conv_embed.conv.weight_v" in old
    torch.save(old, tmp_path / "in" / "pytorch_model.bin")
    compare(read_model(tmp_path / "in").encoder, theirs, tmp_path / "in")


def test_weights_of_torch_and_half_precision(tmp_path: Path) -> None:
    theirs = model("hubert")
    folder(theirs.half(), tmp_path / "in")
    torch.save(theirs.state_dict(), tmp_path / "in" / "pytorch_model.bin")
    (tmp_path / "in" / "model.safetensors").unlink()
    found = read_model(tmp_path / "in")
    assert {t.dtype for t in found.encoder.state_dict().values()} == {torch.float32}
    compare(found.encoder, theirs.float(), tmp_path / "in")


def test_the_extractor_inside_a_processor(tmp_path: Path) -> None:
    """transformers 5 writes one processor_config.json."""
    folder(model("hubert"), tmp_path / "in", normalize=False)
    said = json.loads((tmp_path / "in" / "preprocessor_config.json").read_text())
    (tmp_path / "in" / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=r"in: does not tell normalize_audio, .*give --normalize-audio"):
        read_model(tmp_path / "in")
    assert read_model(tmp_path / "in", normalize_audio=True).encoder.frontend.normalize_audio is True
    (tmp_path / "in" / "processor_config.json").write_text(json.dumps({"feature_extractor": said}))
    assert read_model(tmp_path / "in").encoder.frontend.normalize_audio is False
    with pytest.raises(UserError, match="says itself that normalize_audio is False, not True; leave the option out"):
        read_model(tmp_path / "in", normalize_audio=True)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu', and speechunits has this model only with 'gelu'"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-12"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm is True"),
        ({"conv_dim": [12] * 6 + [16]}, r"convolutions have \[12, 16\] channels"),
    ],
)
def test_parts_that_we_do_not_have(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    config = model("hubert").config
    config.update(settings)
    folder(transformers.HubertModel(config), tmp_path / "in")
    with pytest.raises(UserError, match=says):
        read_model(tmp_path / "in")


def test_other_models_are_refused_with_the_list(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(
        UserError, match="holds a 'whisper' model; what can be imported: hubert, wav2vec2, wavlm, data2vec"
    ):
        read_model(tmp_path)


def test_folders_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        read_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "hub')
    with pytest.raises(UserError, match=r"config\.json: cannot be read as JSON"):
        read_model(tmp_path)
    whole = folder(model("hubert"), tmp_path / "in")
    weights = whole / "model.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match=r"model\.safetensors: truncated or damaged") as said:
        read_model(whole)
    assert "\n" not in str(said.value)
    weights.unlink()
    with pytest.raises(UserError, match="half-written"):
        read_model(whole)
    from safetensors.torch import load, save_file

    some = {n: t for n, t in load(raw).items() if "layers.1.feed_forward.output_dense" not in n}
    save_file(some, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"in: 2 weights are missing, encoder\.layers\.1\.down"):
        read_model(whole)
    nan = load(raw)
    nan["encoder.layer_norm.bias"][3] = torch.nan
    save_file(nan, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"encoder\.norm\.bias holds NaN"):
        read_model(whole)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ["model.encoder.frontend={_target_: speechunits.frontends.log_mel.LogMel}"],
            "no model with the frontend LogMel: only encoders with ConvFrontend can be exported",
        ),
        (["model.encoder.projection=null", "model.encoder.encoder.dim=16"], "the projection none"),
        (
            [
                "model.encoder.encoder.positions={_target_: speechunits.nn.stacked_conv_positions.StackedConvPositions}",
                "model.encoder.encoder.positions.groups=2",
            ],
            "StackedConvPositions only together with layer norm",
        ),
        (
            [
                "model.encoder.projection.norm=false",
                "model.encoder.encoder.relative={_target_: speechunits.nn.relative_positions.GatedRelativePositions}",
            ],
            "no wavlm model without a norm in the projection",
        ),
    ],
)
def test_encoders_that_transformers_lacks(change: list[str], says: str, tmp_path: Path) -> None:
    streams = {"units": Stream(Fraction(1, 100 if "LogMel" in change[0] else 50), (7,), "x")}
    ours = build(load("system/hubert_base.yaml", "size/toy.yaml", *change)["model"], streams=streams).encoder
    store.save(ours, tmp_path / "ours")
    with pytest.raises(UserError, match=says):
        write_folder(tmp_path / "ours", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours"]


def test_a_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_model(folder(model("hubert"), tmp_path / "in")).save(tmp_path / "ours")

    def full(self: Any, place: Path) -> None:
        (Path(place) / "half").write_text("x")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transformers.Wav2Vec2FeatureExtractor, "save_pretrained", full)
    with pytest.raises(UserError, match="cannot be written"):
        write_folder(tmp_path / "ours", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "ours"]
