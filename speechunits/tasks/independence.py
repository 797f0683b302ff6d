"""Independence: a judge that shares its ears with what it judges proves nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.unit_meta import meta_path, read_meta
from speechunits.errors import UserError, some

log = logging.getLogger(__name__)


def check_independent(
    judge: str | Path, made_by: Sequence[str | Path], but: Sequence[str] = (), accept: bool = False
) -> list[str]:
    """The fingerprints that a judge shares with what it judges: none, but with ``accept``. Common training cuts are warned of.

    Args:
        judge: folder of an artefact.
        made_by: artefacts and manifests that made what is judged; where none is named, a warning says that nobody looked.
        but: fingerprints that may be shared: those of text.
        accept: warn instead.

    Raises:
        UserError: it shares one, or ``made_by`` names something else.
    """
    if not made_by:
        log.warning(
            "%s: made_by names nothing that made what is judged, so whether they share anything is not known", judge
        )
        return []
    mine, theirs = lineage([judge]), lineage(made_by)
    if heard := sorted(mine.cuts & theirs.cuts):
        log.warning("%s: was trained on %d cuts that what it judges was trained on: %s", judge, len(heard), some(heard))
    shared = sorted(mine.fingerprints & theirs.fingerprints - {*but})
    if shared and not accept:
        raise UserError(
            f"{judge}: is not independent of what it judges, both come from {some(shared)}; give a judge of other features and "
            "labels, or accept_dependent=true"
        )
    if shared:
        log.warning("%s: IS NOT INDEPENDENT of what it judges, both come from %s: it flatters", judge, some(shared))
    return shared


@dataclass
class Lineage:
    """What an artefact was made from, as far as it is written down where it lies.

    Args:
        fingerprints: of itself, of its ``derived_from``, and the same of what the configurations of the runs around them name.
        cuts: ids that these runs were trained on.
    """

    fingerprints: set[str] = field(default_factory=set)
    cuts: set[str] = field(default_factory=set)


def lineage(places: Sequence[str | Path]) -> Lineage:
    """Of folders of artefacts and of manifests with stored units, all together.

    Raises:
        UserError: one is neither.
    """
    found, waiting, seen = Lineage(), [Path(place) for place in places], set[Path]()
    if strange := [str(place) for place in waiting if not _known(place)]:
        raise UserError(
            f"{strange[0]}: neither an artefact folder nor a manifest with stored units; give what was used"
        )
    while waiting:
        place = waiting.pop().absolute()
        if place in seen:
            continue
        seen.add(place)
        found.fingerprints |= _named(place)
        config = place.parent / "config.json"
        if config.is_file():
            tree = store.read_json(config)
            data = tree.get("data")
            trained_on = data.get("train") if isinstance(data, dict) else None
            found.cuts |= {name for path in _strings(trained_on) if Path(path).exists() for name in open_cuts(path).ids}
            waiting += [Path(text) for text in _strings(tree) if _known(Path(text))]
    return found


def _known(place: Path) -> bool:
    return bool(place.name) and ((place / "meta.json").is_file() or meta_path(place).is_file())


def _named(place: Path) -> set[str]:
    if (place / "meta.json").is_file():
        meta = store.read_meta(place)
        return {meta["fingerprint"], *meta["derived_from"]}
    # those of merged and stacked units join several: "units+dedup+bpe", "units&units"
    fields = [
        re.split("[+&]", str(x)) for f in read_meta(place).values() for x in (f["fingerprint"], *f["derived_from"])
    ]
    return {name for names in fields for name in names} - {"dedup"}


def _strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, (dict, list)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _strings(value)
