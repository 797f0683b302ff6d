"""What every recipe's command line shares: ``python -m recipes.X system.yaml key=value ...``.

A recipe is a function whose keyword arguments are the top-level keys of its configuration; its signature is their
schema. Every recipe has ``out``, the folder it writes; a finished folder carries ``_COMPLETE.json`` and is not made
twice (and refused when what it was made from has changed), an unfinished one is taken up where it stopped. Of several
processes (torchrun, Slurm, those that Lightning starts) the first one writes the configuration and the mark, the mark
when all are through.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError

from speechunits import ranks, store
from speechunits.config import dump, load
from speechunits.data.unit_meta import meta_path, read_streams
from speechunits.errors import UserError
from speechunits.part import ConfigError, Tree
from speechunits.signature import mistakes

MARK = "_COMPLETE.json"
# What may change between the parts of one run: where, for how long and how loudly it computes, not what.
# ``data.accumulate`` goes with the number of ranks; the data module refuses where an update becomes another one.
FREE = (
    *("num_workers", "device", "trainer", "loggers", "log_every"),
    *("data.num_workers", "data.max_bad", "data.accumulate", "data.accept_manifest", "data.accept_batches"),
)
FIXED = ("trainer.precision", "trainer.deterministic")  # what may not, although it lies below one of these
_to_say: list[str] = []  # as soon as the run has a log
_locks: set[IO[str]] = set()


def _let_go() -> None:
    """A forked loader worker outlives a killed run by seconds; holding its lock, it would refuse the next start."""
    while _locks:
        _locks.pop().close()


os.register_at_fork(after_in_child=_let_go)


def usable_device(name: str) -> torch.device:
    """The torch device of that name, this process's own GPU for "cuda" under torchrun and srun.

    Raises:
        UserError: this machine has no such device.
    """
    own = ranks.on_node()
    try:
        device = torch.device(f"cuda:{own}" if name == "cuda" and own is not None else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise UserError(
            f"device={name}: not on this machine ({str(error).splitlines()[0]}); give device=cpu"
        ) from error
    return device


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process.

    Raises:
        UserError: another run is writing there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")  # noqa: SIM115  held as long as the block runs
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another out=") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another run is writing there; wait for it, or choose another out=") from None
        _locks.add(lock)
        try:
            yield
        finally:
            _locks.discard(lock)


def _differences(a: Any, b: Any, at: str = "") -> dict[str, tuple[Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        parts = [_differences(a.get(k), b.get(k), f"{at}.{k}" if at else str(k)) for k in sorted({*a, *b})]
        return {key: pair for part in parts for key, pair in part.items()}
    return {} if a == b else {at: (a, b)}


def made_from(tree: Any, at: str = "") -> dict[str, Any]:
    """Key -> fingerprint of every artefact folder that ``tree`` names, and of the codes of every manifest that has some."""
    if isinstance(tree, (dict, list)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        parts = [made_from(value, f"{at}.{key}" if at else str(key)) for key, value in items]
        return {key: found for part in parts for key, found in part.items()}
    if not isinstance(tree, str) or not Path(tree).name:
        return {}
    if os.path.isfile(os.path.join(tree, "meta.json")):
        return {at: store.read_meta(tree)["fingerprint"]}
    streams = read_streams(Path(tree)) if os.path.isfile(meta_path(Path(tree))) else {}
    return {f"{at} ({name})": stream.fingerprint for name, stream in streams.items()}


def finished(out: Path, tree: Tree) -> dict[str, Any] | None:
    """The mark of a folder that ``tree`` made, or None if it is not finished; ``FREE`` keys may differ.

    Raises:
        UserError: it was made, or begun, with another configuration, or from something that has changed since; or it is
            finished and should now run for longer.
    """
    begun, anew = out / "config.json", "delete the folder to make it anew, or choose another out="
    differ = _differences(store.read_json(begun), json.loads(json.dumps(tree))) if begun.is_file() else {}
    free = {k for k in differ if k not in FIXED and any(f"{k}.".startswith(f"{name}.") for name in FREE)}
    if other := [f"{key}: {there!r} there, {now!r} now" for key, (there, now) in differ.items() if key not in free]:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise UserError(f"{out}: made with another configuration ({'; '.join(other[:3])}{more}); {anew}")
    if not (out / MARK).is_file():
        _to_say[:] = [f"taken up with {key}={differ[key][1]}, which was {differ[key][0]}" for key in sorted(free)]
        return None
    for key in ("trainer.max_steps", "trainer.max_seconds"):
        there, now = differ.get(key, (None, None))
        if there is not None and now is not None and now > there:
            raise UserError(
                f"{out}: finished with {key}={there}, and now {now} is asked for, but a finished run is not continued; "
                f"choose another out= with init_from={out}/encoder, or delete the folder to make it anew"
            )
    mark: dict[str, Any] = store.read_json(out / MARK)
    sources = made_from({k: v for k, v in tree.items() if k != "out"})
    for key, before in mark.get("made_from", {}).items():
        if sources.get(key, before) != before:
            raise UserError(
                f"{out}: made from {key} with the fingerprint {before}, which is now {sources[key]}; {anew}"
            )
    return mark


def _forget(out: Path) -> None:
    """Let another configuration have a folder in which nothing was made yet."""
    begun = {"config.json", "config.yaml", "versions.json"}
    made = [p for p in out.iterdir() if p.name not in {*begun, ".lock"} and p.suffix != ".log"]
    if not any(p.is_file() or any(p.iterdir()) for p in made):
        for name in begun:
            (out / name).unlink(missing_ok=True)


def _finished_already(out: Path, mark: dict[str, Any]) -> dict[str, Any]:
    print(f"{out}: finished already ({mark['seconds']:.0f} s); delete it to make it anew")
    return mark


def run(recipe: Callable[..., dict[str, Any] | None], argv: list[str]) -> dict[str, Any]:
    """Load, check, run, mark. Returns the recipe's figures.

    Raises:
        UserError: anything the user can mend.
    """
    tree = load(*argv)
    if found := list(mistakes({"_target_": f"{recipe.__module__}.{recipe.__name__}", **tree}, "", False)):
        raise ConfigError(found)
    out = Path(tree["out"])
    if not ranks.first_process():
        # whether an unfinished one was begun alike is for the first process to say, which may be writing it just now
        if (out / MARK).is_file() and (mark := finished(out, tree)):
            return mark
        figures = recipe(**tree) or {}
        ranks.barrier()
        return figures
    with claimed(out):
        if mark := finished(out, tree):
            return _finished_already(out, mark)
        sources = made_from({k: v for k, v in tree.items() if k != "out"})
        store.write_json(out / "config.json", tree)
        store.write_text(out / "config.yaml", dump(tree))
        begin = time.monotonic()
        try:
            figures = recipe(**tree) or {}
        except UserError:
            _forget(out)
            raise
        ranks.barrier()  # nobody is still writing
        seconds = round(time.monotonic() - begin, 1)
        mark = {**figures, "seconds": seconds, "command": " ".join(argv), "made_from": sources}
        store.write_json(out / MARK, mark)
        return mark


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: a full disk is reported by what needs it, not by a traceback for each line of the log."""


def log_to(path: str | Path) -> None:
    """Send the house's log lines to the terminal and, appended, to ``path``; of other processes, warnings alone."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger("speechunits")
    root.setLevel(logging.INFO if ranks.first_process() else logging.WARNING)
    for old in [h for h in root.handlers if h.name == __name__]:  # of a run before this one in the same process
        root.removeHandler(old)
        old.close()
    for handler in (logging.StreamHandler(sys.stdout), _LogFile(path)):
        handler.name = __name__
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    while _to_say:
        logging.getLogger(__name__).info("%s", _to_say.pop(0))


def main(recipe: Callable[..., dict[str, Any] | None]) -> None:
    """Entry point of ``python -m recipes.X``: exit 0, or 2 after one sentence about what to mend."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        module = inspect.getmodule(recipe)
        print((module.__doc__ or "").strip())
        print(f"\nkeys: {', '.join(str(p) for p in inspect.signature(recipe).parameters.values())}")
        return
    with exit_codes():
        run(recipe, sys.argv[1:])


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what the user can mend into one sentence on stderr and exit code 2."""
    try:
        yield
    except UserError as error:
        several = ranks.world() > 1 or not ranks.first_process()
        print(f"error: {f'{ranks.who()}: ' if several else ''}{error}", file=sys.stderr)
        sys.exit(2)
    except SafetensorError as error:  # has no errno, and names no file
        if "os error" not in str(error):
            raise
        print(f"error: {error}; free some space or choose another place", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(
            f"error: {error.filename or 'disk'}: {error.strerror}; free some space or choose another place",
            file=sys.stderr,
        )
        sys.exit(2)
