"""Both packages are optional, and their absence is a sentence."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from speechunits.decode import kaldi
from speechunits.errors import UserError

PACKAGES = ("kaldifst", "kaldi_decoder")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is, or stands for itself where it is not."""
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None if package == name else ModuleType(package))
    with pytest.raises(UserError, match=f"{name} is not installed and needed for word graphs: pip install"):
        kaldi.need(decoder=True)
