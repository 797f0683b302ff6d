"""Networks that predict opinions, made here: TorchScript that torch runs, and ONNX where it is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from speechunits.config import build, load
from speechunits.errors import UserError
from speechunits.metrics.mos import MOS
from tests.metrics.sounds import alone, batch_of, check_ranks

WAVES = [torch.linspace(0, 1, 3000), torch.linspace(-1, 0.5, 5000), torch.full((800,), 0.25)]


class Opinion(nn.Module):
    """Twice the mean and the number of samples in thousands."""

    def forward(self, wave: Tensor) -> Tensor:
        return torch.stack([2 * wave.mean(1), torch.full_like(wave[:, 0], wave.size(1) / 1000)], 1)


@pytest.fixture
def script(tmp_path: Path) -> str:
    torch.jit.script(Opinion()).save(str(tmp_path / "opinion.pt"))
    return str(tmp_path / "opinion.pt")


def heard(path: str, **arguments: object) -> dict[str, float]:
    outputs, batch = batch_of(WAVES, WAVES, ["a", "b", "c"])
    return check_ranks(lambda: MOS(path, ("mean", "size"), trust=True, **arguments), outputs, batch)  # type: ignore[arg-type]


def test_whole_utterances(script: str) -> None:
    found = heard(script)
    assert found["mean"] == pytest.approx(sum(2 * float(w.mean()) for w in WAVES) / 3, abs=1e-6)
    assert found["size"] == pytest.approx((3 + 5 + 0.8) / 3, abs=1e-6)


def test_windows_and_polynomials(script: str) -> None:
    """Windows of 2000 samples 1000 apart; the shortest utterance is repeated until it fills one."""
    found = heard(script, seconds=0.125, step=0.0625, polynomials={"mean": [3, 0, 1]})
    means = []
    for wave in [*WAVES[:2], WAVES[2].repeat(3)[:2000]]:
        windows = [wave[i : i + 2000] for i in range(0, len(wave) - 1999, 1000)]
        means.append(np.mean([3 * (2 * float(w.mean())) ** 2 + 1 for w in windows]))
    assert found["size"] == 2 and found["mean"] == pytest.approx(np.mean(means), abs=1e-5)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.skipif(find_spec("onnx") is None, reason="onnx, which writes the file of this test, is not installed")
def test_onnx(script: str, tmp_path: Path) -> None:
    """Twice the mean, as operators."""
    from onnx import TensorProto, helper, save

    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    mean = helper.make_node("ReduceMean", ["wave"], ["mean"], axes=[1], keepdims=1)
    nodes = [mean, helper.make_node("Mul", ["mean", "two"], ["opinion"])]
    wave = helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, None])
    opinion = helper.make_tensor_value_info("opinion", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "opinion", [wave], [opinion], [two])
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        str(tmp_path / "opinion.onnx"),
    )
    outputs, batch = batch_of(WAVES, WAVES, ["a", "b", "c"])
    found = check_ranks(lambda: MOS(str(tmp_path / "opinion.onnx")), outputs, batch)
    assert found["mos"] == pytest.approx(heard(script)["mean"], abs=1e-6)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"broken\.onnx: cannot be read as ONNX"):
        MOS(str(tmp_path / "broken.onnx"))


def test_what_is_refused(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="TorchScript is a program; set trust=true"):
        MOS(script)
    with pytest.raises(UserError, match=r"none\.onnx: does not exist; give the file of a network"):
        MOS(str(tmp_path / "none.onnx"))
    for name in ("net.onnx", "net.pt", "net.bin"):
        (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(UserError, match=r"net\.bin: neither \.onnx nor TorchScript"):
        MOS(str(tmp_path / "net.bin"))
    with pytest.raises(UserError, match=r"net\.pt: is not TorchScript or damaged"):
        MOS(str(tmp_path / "net.pt"), trust=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime is not installed: pip install"):
        MOS(str(tmp_path / "net.onnx"))
    with pytest.raises(ValueError, match="polynomials: other is none of mos"):
        MOS(script, polynomials={"other": [1, 0]}, trust=True)


def test_a_network_of_another_kind(script: str) -> None:
    one = MOS(script, ("mos",), trust=True)
    with pytest.raises(UserError, match=r"opinion\.pt: gave \[.*\] for a, not one number for each of"):
        one.update({"audio": alone(WAVES[0])}, {"ids": ["a"]})
    with pytest.raises(UserError, match="a: no samples, so no opinion"):
        one.update({"audio": alone(WAVES[0][:0])}, {"ids": ["a"]})
    with pytest.raises(UserError, match="a: has NaN"):
        one.update({"audio": alone(WAVES[0] * torch.nan)}, {"ids": ["a"]})


def test_the_settings_of_dnsmos_are_whole(script: str) -> None:
    node = load("measures/dnsmos.yaml", f"measures.dnsmos.path={script}", "measures.dnsmos.trust=true")["measures"][
        "dnsmos"
    ]
    made = build(node)
    assert made.window == 144160 and list(made.polynomials) == list(made.names) == ["signal", "background", "overall"]
    assert np.polyval(made.polynomials["overall"], 5.0) == pytest.approx(3.93, abs=0.01)
