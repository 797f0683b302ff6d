"""The ``.meta.json`` of a manifest: hop, vocabulary (or shape) and origin of every stored field, so that nobody guesses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from speechunits.errors import UserError
from speechunits.store import write_json
from speechunits.stream import Stream


def meta_path(manifest: Path) -> Path:
    """``train.jsonl.gz`` -> ``train.jsonl.gz.meta.json``; a Shar folder ``train`` -> ``train.meta.json`` beside it."""
    return manifest.with_name(manifest.name + ".meta.json")


def read_meta(manifest: Path) -> dict[str, dict[str, Any]]:
    """Field name -> {"hop": "1/50", "vocab": [100], "fingerprint": ..., "derived_from": [...]}; {} without a file. Of vectors
    "shape": [768] in place of "vocab".

    Raises:
        UserError: the file is not such a JSON.
    """
    path = meta_path(manifest)
    if not path.exists():
        return {}
    try:
        fields = json.loads(path.read_text())["fields"]
        for about in fields.values():
            _stream(about)
        return dict(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not describe code fields ({type(error).__name__}: {error}); extract the units again"
        ) from error


def read_streams(manifest: Path) -> dict[str, Stream]:
    return {name: _stream(about) for name, about in read_meta(manifest).items()}


def write_meta(manifest: Path, fields: Mapping[str, Mapping[str, Any]]) -> None:
    write_json(meta_path(manifest), {"fields": fields})


def _stream(about: Mapping[str, Any]) -> Stream:
    hop = None if about["hop"] is None else Fraction(about["hop"])
    shape = tuple(int(v) for v in about.get("shape", ()))
    vocab = () if shape else tuple(int(v) for v in about["vocab"])
    return Stream(hop, vocab, str(about["fingerprint"]), shape)
