"""Both packages are optional, and their absence is a sentence."""

from __future__ import annotations

import sys

import pytest

from speechunits.decode import kaldi
from speechunits.errors import UserError


@pytest.mark.parametrize(("name", "package"), [("kaldifst", "kaldifst"), ("kaldi_decoder", "kaldi_decoder")])
def test_what_is_not_installed_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"{package} is not installed and needed for word graphs: pip install"):
        kaldi.need(decoder=True)
