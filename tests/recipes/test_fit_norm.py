"""fit_norm: the corpus has mean 0 and variance 1 afterwards, padding and batches aside."""

from __future__ import annotations

from pathlib import Path

import torch

from recipes.fit_norm import fit_norm
from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField
from speechunits.frontends.log_mel import LogMel
from speechunits.recipe import run
from tests.recipes.toy import Corpus


def test_a_norm_is_fitted_to_the_corpus(corpus: Corpus, tmp_path: Path) -> None:
    source = "features.source._target_=speechunits.frontends.log_mel.LogMel"
    given = ["features._target_=speechunits.units.features.Features", source, "features.source.normalize=none"]
    run(fit_norm, [f"out={tmp_path}", f"cuts={corpus.train}", "max_seconds=2.5", *given])
    norm, frontend, audio = store.restore(tmp_path / "norm"), LogMel(normalize="none"), AudioField()
    frames = torch.cat([norm(frontend(audio.collate([audio.load(cut)]))).data[0] for cut in open_cuts(corpus.train)])
    torch.testing.assert_close(frames.mean(0), torch.zeros(80), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(80), atol=1e-2, rtol=0)
