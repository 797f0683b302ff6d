"""Trackers, chosen in YAML; each package is imported when its tracker is used."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.store import write_text
from speechunits.train.csv_logger import CsvLogger


def csv(*, folder: str | Path) -> Logger:
    """``metrics.csv`` in the run's folder."""
    return CsvLogger(Path(folder) / "metrics.csv")


def tensorboard(*, folder: str | Path) -> Logger:
    """Event files under ``tensorboard/`` of the run's folder.

    Raises:
        UserError: the package is missing.
    """
    _need("tensorboard", "TensorBoard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(Path(folder) / "tensorboard", name="", version="")


def wandb(
    project: str = "speechunits",
    name: str | None = None,
    mode: Literal["online", "offline"] = "offline",
    *,
    folder: str | Path,
) -> Logger:
    """Weights & Biases; ``offline`` writes files under ``wandb/`` that ``wandb sync`` sends later.

    Raises:
        UserError: the package is missing.
    """
    _need("wandb", "Weights & Biases")
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_SILENT", "true")
    # other ranks never speak to the tracker
    run = _remembered(Path(folder) / "wandb.id", lambda: secrets.token_hex(4)) if ranks.first_process() else None
    name = name or Path(folder).name
    return WandbLogger(name=name, save_dir=folder, offline=mode == "offline", id=run, project=project, mode=mode)


def mlflow(experiment: str = "speechunits", uri: str | None = None, *, folder: str | Path) -> Logger:
    """MLflow; without ``uri`` into the local database ``mlflow.db`` of the run's folder.

    Raises:
        UserError: a package is missing.
    """
    _need("mlflow", "MLflow")
    if uri is None:
        _need("sqlalchemy", "MLflow's local store")
        _need("alembic", "MLflow's local store")
    from lightning.pytorch.loggers import MLFlowLogger

    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "mlflow.id"
    tracker = MLFlowLogger(
        experiment,
        run_name=folder.name,
        tracking_uri=uri or f"sqlite:///{folder / 'mlflow.db'}",
        artifact_location=None if uri else (folder / "mlflow").as_uri(),
        run_id=known.read_text().strip() if known.exists() else None,
    )
    if ranks.first_process():
        _remembered(known, lambda: str(tracker.run_id))
    return tracker


def announce(trackers: Sequence[Logger], config: Mapping[str, Any], found: Mapping[str, str]) -> None:
    """Give every tracker the resolved configuration and what ``provenance()`` found; by the first process of all.

    (Lightning, before processes have met, takes the first one of every machine for it.)
    """
    for tracker in trackers if ranks.first_process() else ():
        tracker.log_hyperparams({"config": dict(config), "provenance": dict(found)})


def _need(package: str, what: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"{what} needs the package {package}, which is not installed: pip install 'speechunits[trackers]'"
        ) from error


def _remembered(path: Path, make: Callable[[], str]) -> str:
    """A tracker's own name for this run, kept in the run's folder so that a resumed run continues the same one."""
    if not path.exists():
        write_text(path, make() + "\n")
    return path.read_text().strip()
