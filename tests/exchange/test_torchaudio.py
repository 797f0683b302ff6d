"""State dicts of torchaudio: what shapes and conventions tell, and what the user must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchaudio
from safetensors.torch import save_file
from torch import nn

from speechunits.errors import UserError
from speechunits.exchange.source import read_model
from speechunits.seq import unpad
from tests.exchange.toy import audio, shake

BLOCKS = [(16, k, s) for k, s in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True)]


def body(norm: str, first: bool, bias: bool = False) -> nn.Module:
    made = torchaudio.models.wav2vec2_model(
        f"{norm}_norm", BLOCKS, bias, 32, 0.0, 9, 2, 3, 4, 0.0, 64, 0.0, 0.0, first, 0.0, 5
    ).eval()
    shake(made)
    return made


def compare(ours: Any, theirs: nn.Module) -> None:
    """Every layer of every utterance alone (torchaudio leaves normalising to its user, and the last norm out)."""
    batch = audio(9000, 5000)
    for x in unpad(batch):
        one = type(batch)(x[None], torch.tensor([len(x)]), batch.hop)
        told = nn.functional.layer_norm(one.data, one.data.shape[1:]) if ours.frontend.normalize_audio else one.data
        with torch.no_grad():
            layers, _ = theirs.extract_features(told)
            found = ours(one).hidden.layers[1:]
        assert len(layers) == len(found)
        for state, expected in zip(found, layers, strict=True):
            torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_by_convention(norm: str, tmp_path: Path) -> None:
    """Layer norm in the convolutions = norm first and normalised audio, as in all of torchaudio's bundles."""
    theirs = body(norm, norm == "layer", norm == "layer")
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    found = read_model(tmp_path / "w.pt", heads=4)
    assert (found.kind, found.left) == ("torchaudio", ["aux.weight", "aux.bias"])
    front = found.encoder.frontend
    assert (front.normalize_audio, front.normalize_eps) == (norm == "layer", 1e-5)
    compare(found.encoder, theirs)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    compare(read_model(tmp_path / "w.safetensors", heads=4).encoder, theirs)


def test_what_the_user_says_goes_before_convention(tmp_path: Path) -> None:
    theirs = body("layer", False)
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"w\.pt: does not tell heads, and the weights do not either; give --heads"):
        read_model(tmp_path / "w.pt")
    with pytest.raises(UserError, match="does not divide into 5 heads"):
        read_model(tmp_path / "w.pt", heads=5)
    found = read_model(tmp_path / "w.pt", heads=4, norm_first=False, normalize_audio=False)
    compare(found.encoder, theirs)


def test_other_convolutions_need_their_strides(tmp_path: Path) -> None:
    blocks = [(16, 8, 4), (16, 4, 2)]
    theirs = torchaudio.models.wav2vec2_model(
        "group_norm", blocks, False, 32, 0.0, 9, 2, 1, 4, 0.0, 64, 0.0, 0.0, False, 0.0, None
    ).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    with pytest.raises(UserError, match="does not tell strides"):
        read_model(tmp_path / "w.pt", heads=4)
    with pytest.raises(UserError, match="2 kernels but 3 strides"):
        read_model(tmp_path / "w.pt", heads=4, strides=(4, 2, 2))
    compare(read_model(tmp_path / "w.pt", heads=4, strides=(4, 2)).encoder, theirs)


def test_published_sizes_need_no_option(tmp_path: Path) -> None:
    """768 features have 12 heads; torchaudio has no offset in its label embeddings."""
    theirs = torchaudio.models.hubert_pretrain_model(
        "group_norm", BLOCKS, False, 768, 0.0, 9, 2, 1, 12, 0.0, 32, 0.0, 0.0, False, 0.0,
        0.8, "static", 0.0, 10, False, 1, 0.0, "static", 0.0, 10, False, 1, False, False, 7, 8, 0.1,
    ).eval()  # fmt: skip
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    found = read_model(tmp_path / "w.pt")
    assert found.left == []
    compare(found.encoder, theirs.wav2vec2)
    assert torch.equal(found.encoder.masker.vector, theirs.mask_generator.mask_embedding)
    assert torch.equal(found.head.codes[0], theirs.logit_generator.label_embeddings)
    assert found.head.vocab == (7,) and found.head.projection.weight.shape == (8, 768)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_wavlm(norm: str, tmp_path: Path) -> None:
    """Its attention keeps q, k and v joined; the number of heads is in the gates."""
    theirs = torchaudio.models.wavlm_model(
        f"{norm}_norm", BLOCKS, False, 32, 0.0, 9, 2, 3, 4, 320, 800, 0.0, 64, 0.0, 0.0, norm == "layer", 0.0, None
    ).eval()
    shake(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    compare(read_model(tmp_path / "w.pt").encoder, theirs)


def test_the_old_names_of_weight_norm(tmp_path: Path) -> None:
    theirs = body("group", False)
    old = {
        n.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): t
        for n, t in theirs.state_dict().items()
    }
    assert "encoder.transformer.pos_conv_embed.conv.weight_g" in old
    torch.save(old, tmp_path / "w.pt")
    compare(read_model(tmp_path / "w.pt", heads=4).encoder, theirs)
