"""KMeansCheckpoint: where a k-means fit stands, as a folder of safetensors and one JSON file that makes them valid."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from speechunits.errors import UserError
from speechunits.store import read_json, write_json, writing

FORMAT = 1


@dataclass
class Progress:
    """Everything that a resumed fit must know beside the reservoir."""

    stage: str = "collect"  # then "lloyd", "refine", "done"
    position: int = 0  # next batch of the pass under way
    extra: int = 0  # extra passes finished
    run: int = 0  # initialisations finished
    iteration: int = 0  # Lloyd iterations applied in this run
    iterations: int = 0  # the same over all runs
    reseeded: int = 0  # empty clusters moved, over all runs
    empty: int = 0  # empty clusters of the result
    utterances: int = 0
    frames: int = 0
    hop: str = ""  # seconds per frame as a fraction
    sample: int = 0  # frames in the reservoir
    previous: float | None = None  # inertia per frame of the iteration before
    best: float | None = None  # of the best finished run
    pass_inertia: float | None = None  # over the last extra pass, of the centroids that went into it
    tensors: dict[str, Tensor] = field(default_factory=dict)


class KMeansCheckpoint:
    """Saves under new names first, then replaces ``state.json``, which alone says what belongs together.

    Args:
        folder: created when missing.
        settings: what must be equal for a checkpoint to be continued.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = {"format": FORMAT, **settings}
        self.parts: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> Progress | None:
        """The progress saved last, or None in a fresh folder; ``parts`` then names the reservoir's files.

        Raises:
            UserError: the folder belongs to another fit.
        """
        path = self.folder / "state.json"
        if not path.exists():
            return None
        state = read_json(path)
        for key, value in self.settings.items():
            if state["settings"].get(key) != value:
                raise UserError(
                    f"{path} was written with {key}={state['settings'].get(key)!r}, this fit has {key}={value!r}: "
                    "give the fit the same settings or another folder"
                )
        self.parts = state["parts"]
        numbers = {f.name: state[f.name] for f in fields(Progress) if f.name != "tensors"}
        return Progress(**numbers, tensors=load_file(self.folder / state["tensors"]) if state["tensors"] else {})

    def read(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / name)

    def write(self, name: str, tensors: dict[str, Tensor]) -> None:
        """One file, complete or absent."""
        with writing(self.folder / name) as aside:
            save_file({key: x.detach().cpu().contiguous() for key, x in tensors.items()}, aside)

    def commit(self, progress: Progress, parts: list[str]) -> None:
        """Make ``progress`` with the reservoir files ``parts`` the valid state and drop the files of older ones."""
        tensors = ""
        if progress.tensors:
            at = (progress.stage, progress.extra, progress.position, progress.run, progress.iteration)
            tensors = f"tensors-{'-'.join(map(str, at))}.safetensors"
            self.write(tensors, progress.tensors)
        numbers = asdict(Progress(**{**vars(progress), "tensors": {}}))
        state = {**numbers, "tensors": tensors, "parts": parts, "settings": self.settings}
        write_json(self.folder / "state.json", state)
        self.parts = parts
        for pattern in ("tensors-*", "reservoir-*", ".*.tmp"):  # the last: left by a process that was killed
            for path in self.folder.glob(pattern):
                if path.name not in (tensors, *parts):
                    path.unlink()
