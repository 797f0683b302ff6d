"""The demo corpus: two hours of phone-aligned English by many speakers and its Spanish, made in under a minute.

For tests, tutorials and first experiments where real recordings are not at hand. Limits: one synthesiser, so models
learn eSpeak's allophones; a closed vocabulary; no rooms, no background, no slips of the tongue. Figures measured on it
say whether the software works, not how good a method is on speech.

Unless told otherwise each utterance by one of the many speakers passes a mild channel of its own (tilt within 1.5 dB
per octave, bumps within 2 dB, level within 4 dB, noise floor -68 to -56 dB), in training and evaluation alike: without
it a spectrum is exact to the bit and clustering has nothing to be robust against.

Licence: eSpeak NG (GPL, version 3 or later) is loaded at run time when it is installed, and never part of this package.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speechunits.data.demo.espeak import Espeak
from speechunits.data.demo.grammar import LANGUAGES
from speechunits.data.demo.plan import Utterance, plan
from speechunits.data.demo.render import Rendering, render
from speechunits.data.demo.speaker import Speaker
from speechunits.data.demo.waveform import SAMPLING_RATE
from speechunits.errors import UserError

MARK = "_COMPLETE.json"
EDITION = 2  # raise when the same arguments give other audio or other labels


def cuts_path(out: str | Path, split: str, language: str) -> Path:
    """The manifest of one split (train, valid, test, pairs, test_seen, pairs_seen) and language (en, es)."""
    return Path(out) / f"cuts_{split}_{language}.jsonl.gz"


def make_demo_corpus(
    out: str | Path,
    *,
    train: Mapping[str, int],
    valid: Mapping[str, int],
    test: Mapping[str, int],
    pairs: Mapping[str, int] | None = None,
    seen: int = 0,
    seed: int = 0,
    target_speaker: str | None = "f00",
    channel: bool = True,
    workers: int | None = None,
) -> dict[str, Any]:
    """Make the corpus in folder ``out``, or return at once where it is whole already.

    ``out/audio/<id>.flac`` (16 kHz, 16 bit), ``out/cuts_<split>_<language>.jsonl.gz`` (lhotse cuts with absolute
    paths) and ``out/_COMPLETE.json``. A cut has ``pair`` (the same for a sentence and its translation) and one
    supervision with text, language, speaker, gender, ``alignment`` of "word" and "phone", and ``stress`` (one number
    per phone: 1 primary, 2 secondary, 0 none). Everything is built in ``<out>.partial`` and renamed at the end.

    Args:
        train, valid, test, pairs: each the counts ``sentences``, ``spanish`` and ``speakers``, see :func:`plan`; no pairs if
            None.
        seen: sentences of test and of pairs that speakers of train say too.
        seed: of sentences, who says them and how; sentences and speakers never change splits, whatever the seed.
        target_speaker: the one voice of the Spanish side; None = many voices, those of the split.
        channel: vary the channel of each utterance of the many speakers.
        workers: processes; all that the machine has, up to 8, when None. The result does not depend on it.

    Returns:
        the completion mark: ``arguments``, ``espeak`` (its version), and ``cuts`` (utterances, seconds and speakers of
        each manifest).

    Raises:
        UserError: ``out`` holds something else, a size makes no sense, or eSpeak NG is not installed.
    """
    out = Path(out).resolve()
    sizes = {
        "train": dict(train),
        "valid": dict(valid),
        "test": dict(test),
        **({"pairs": dict(pairs)} if pairs else {}),
    }
    arguments: dict[str, Any] = {
        **sizes,
        "seen": seen,
        "seed": seed,
        "target_speaker": target_speaker,
        "channel": channel,
        "folder": str(out),
        "edition": EDITION,
    }
    if out.exists():
        made = _made(out, arguments)
        if made is not None:
            return made
    utterances = plan(sizes, seed=seed, target_speaker=target_speaker, channel=channel, seen=seen)
    with tempfile.TemporaryDirectory(prefix="espeak-") as home:
        version = Espeak(home).version
    with _workshop(out) as partial:
        (partial / "audio").mkdir()
        renderings = _with_progress(render(utterances, partial / "audio", workers or _processors()), len(utterances))
        cuts = _write_manifests(partial, out, list(zip(utterances, renderings, strict=True)))
        mark = {"arguments": arguments, "espeak": version, "cuts": cuts}
        (partial / MARK).write_text(json.dumps(mark, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.rename(out)
    return mark


def _made(out: Path, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The mark of a whole corpus with these arguments; None for an empty folder."""
    if not (out / MARK).is_file():
        if out.is_dir() and not any(out.iterdir()):
            return None
        raise UserError(f"{out} holds something that is not a whole demo corpus: name another folder or delete it")
    mark: dict[str, Any] = json.loads((out / MARK).read_text(encoding="utf-8"))
    before = mark["arguments"]
    changed = [
        f"{name} was {before.get(name)} and is now {arguments.get(name)}"
        for name in sorted(before.keys() | arguments.keys())
        if before.get(name) != arguments.get(name)
    ]
    if changed:
        raise UserError(f"{out} holds a demo corpus where {'; '.join(changed)}: name another folder or delete it")
    return mark


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out``, ours alone; what an interrupted run left there is cleared."""
    partial = out.with_name(out.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed by the system when this process ends, however
        except BlockingIOError:
            raise UserError(f"another process is making this demo corpus in {partial}: wait until it is done") from None
        for entry in partial.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield partial
    finally:
        os.close(handle)


def _write_manifests(
    partial: Path, out: Path, made: list[tuple[Utterance, Rendering]]
) -> dict[str, dict[str, float | int]]:
    from lhotse import CutSet  # here, not above: the rendering processes import this module's neighbours only

    counts: dict[str, dict[str, float | int]] = {}
    for split in dict.fromkeys(utterance.split for utterance, _ in made):
        for language in LANGUAGES:
            own = [(u, r) for u, r in made if (u.split, u.language) == (split, language)]
            if not own:
                continue
            CutSet.from_cuts(_cut(u, r, out) for u, r in own).to_file(cuts_path(partial, split, language))
            counts[f"{split}_{language}"] = {
                "utterances": len(own),
                "seconds": round(sum(r.samples for _, r in own) / SAMPLING_RATE, 3),
                "speakers": len({u.speaker for u, _ in own}),
            }
    return counts


def _cut(utterance: Utterance, rendering: Rendering, out: Path) -> Any:
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    duration = rendering.samples / SAMPLING_RATE
    tiers = {"word": rendering.words, "phone": rendering.phones}
    alignment = {
        tier: [AlignmentItem(i.label, i.start, round(i.end - i.start, 5)) for i in intervals]
        for tier, intervals in tiers.items()
    }
    recording = Recording(
        id=utterance.id,
        sources=[AudioSource("file", [0], str(out / "audio" / f"{utterance.id}.flac"))],
        sampling_rate=SAMPLING_RATE,
        num_samples=rendering.samples,
        duration=duration,
    )
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=utterance.id,
        start=0.0,
        duration=duration,
        text=utterance.text,
        language=utterance.language,
        speaker=utterance.speaker,
        gender=Speaker(utterance.speaker).gender,
        alignment=alignment,
        custom={"stress": [phone.stress for phone in rendering.phones]},
    )
    return MonoCut(
        id=utterance.id,
        start=0.0,
        duration=duration,
        channel=0,
        recording=recording,
        supervisions=[supervision],
        custom={"pair": utterance.pair},
    )


def _with_progress(renderings: Iterable[Rendering], total: int) -> Iterator[Rendering]:
    """Show utterances per second on a terminal; nothing in a log file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.0f} utterances/s")

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress("synthesising", *columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(renderings, total=total)


def _processors() -> int:
    """Processors this process may use, at most 8: a container often shows more than it grants."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, mine)
