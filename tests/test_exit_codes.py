"""What the user can mend ends a recipe with one sentence and 2; a device that is not there is such a thing."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from speechunits import recipe
from speechunits.errors import UserError


def exits(error: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as code, recipe.exit_codes():
        raise error
    return int(code.value.code or 0), capsys.readouterr().err


def test_what_the_user_can_mend_is_one_sentence_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(UserError("x.yaml: mend it"), capsys) == (2, "error: x.yaml: mend it\n")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/file")
    code, said = exits(full, capsys)
    assert code == 2 and said.startswith("error: /disk/file: No space left on device; ") and said.count("\n") == 1


def test_what_the_user_cannot_mend_keeps_its_traceback() -> None:
    with pytest.raises(FileNotFoundError), recipe.exit_codes():
        raise FileNotFoundError(errno.ENOENT, "bug")


def test_devices() -> None:
    assert recipe.usable_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match=r"device=gpu0: not on this machine .*; give device=cpu"):
        recipe.usable_device("gpu0")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device=cuda: not on this machine"):
            recipe.usable_device("cuda")
