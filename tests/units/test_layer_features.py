from __future__ import annotations

import pytest
import torch

from speechunits.frontends.log_mel import LogMel
from speechunits.units.features import Features
from speechunits.units.layer_features import LayerFeatures
from tests.units.test_features import audio, encoder


@pytest.mark.parametrize("every", [1, 2])
def test_each_layer_is_that_of_a_pass_of_its_own(every: int) -> None:
    source, x = encoder(LogMel(bands=20, normalize="none")), audio(1.2, 0.31, 4.0)
    made = LayerFeatures(source, [2, 0], every, chunk=3.0, context=0.5)
    given = made(x)
    assert made.shape == (2, 16) and given.data.shape[2:] == made.shape
    for i, layer in enumerate((2, 0)):
        alone = Features(source, f"layer:{layer}", every, chunk=3.0, context=0.5)(x)
        assert given.lengths.equal(alone.lengths) and given.hop == alone.hop
        torch.testing.assert_close(given.data[:, :, i], alone.data)


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="'layer:3': the encoder has layers 0 to 2"):
        LayerFeatures(encoder(LogMel(bands=20)), [1, 3])
    with pytest.raises(ValueError, match="give the numbers of the layers"):
        LayerFeatures(encoder(LogMel(bands=20)), [])
