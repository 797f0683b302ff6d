"""The demo from first to last stage on its smallest corpus, and what its sizes must hold."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from speechunits import store
from speechunits.config import load
from speechunits.report.results import read_results

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "egs" / "demo"
SYSTEMS = {"mfcc", "random", "hubert_it1", "hubert_it2", "dinosr"}


@pytest.mark.parametrize("size", ["quick", "default", "long"])
def test_every_size_has_the_seeds_that_its_claims_need(size: str) -> None:
    """One seed has no standard deviation."""
    print_them = f'corpus=c here={DEMO}; . {DEMO}/{size}.sh; printf "%s\\n" "${{measure[@]}}"'
    said = subprocess.run(["bash", "-c", print_them], capture_output=True, text=True, check=True).stdout
    tree = load(DEMO / "evaluate.yaml", *said.split())
    assert len(tree["seeds"]) > 1 and any(claim.get("within_sd") for claim in load(DEMO / "report.yaml")["claims"])


@pytest.mark.slow
def test_the_demo_from_first_to_last_stage(shell: Callable, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not installed: pip install 'speechunits[demo]'")
    egs = tmp_path / "checkout" / "egs"
    egs.unlink()
    (egs / "demo").mkdir(parents=True)
    for path in DEMO.iterdir():
        (egs / "demo" / path.name).symlink_to(path)
    (egs / "demo" / "quick.sh").unlink()
    (egs / "demo" / "quick.sh").write_text(
        "preset=tiny steps1=2 steps2=2 steps_dinosr=2 layer=3 clusters=100\n"
        "steps_asr=2 subwords=110 text=(conf/text/bpe.yaml tokenizer.size=60)\n"
        "inputs=(units units_bpe features)\nmeasure=('seeds=[0,1]' fit_frames=4000)\n"
    )
    exp = tmp_path / "exp"
    small = ["trainer.validate_every=2", "schedule.warmup=1", "log_every=1"]
    said = shell("egs/demo/run.sh", "--quick", "--exp", exp, *small)
    stages = [line for line in said.stdout.splitlines() if line.startswith("== stage ")]
    assert [line.split()[2] for line in stages] == [f"{number}:" for number in range(11)]
    assert said.stdout.splitlines()[-1].endswith(f"open {exp}/report.html")
    rows = read_results(exp / "results.json")["rows"]
    for metric in ("pnmi", "abx_across", "usage"):
        found = {r["system"]: r for r in rows if r["metric"] == metric and r["split"] == "test"}
        assert found.keys() == SYSTEMS and all(r["size"] == 100 for r in found.values())
    heard = {(r["system"], r["split"]) for r in rows if r["metric"] == "wer"}
    inputs, splits = (
        ("units", "units_bpe", "features", "constant"),
        ("test", "test_seen", "pairs", "pairs_seen"),
    )
    assert heard == set(product(inputs, splits))
    page = (exp / "report.html").read_text()
    assert "</html>" in page and "data:image/png;base64," in page and all(f">{system}<" in page for system in SYSTEMS)
    assert store.read_meta(exp / "dinosr" / "encoder")["steps"] == 2
