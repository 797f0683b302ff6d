"""Graph: every sentence of a language model, as the labels that a CTC head may give it; a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speechunits import __version__, store
from speechunits.decode import kaldi
from speechunits.decode.backoff_model import BackoffModel
from speechunits.decode.transducers import aligned, grammar, lexicon_transducer
from speechunits.errors import UserError
from speechunits.text.lexicon import Lexicon, read_lexicon, write_lexicon

FST, TABLES = "graph.fst", ("symbols.txt", "words.txt", "lexicon.txt")


@dataclass(frozen=True)
class Graph:
    """A transducer from labels of frames to words (Mohri, Pereira and Riley 2002, section 4; for CTC: Miao et al. 2015,
    arXiv:1507.08240, section 3), and what is needed to read them.

    The folder: ``graph.fst`` (OpenFst), ``symbols.txt`` and ``words.txt`` (its labels, as OpenFst's tables), ``lexicon.txt``,
    ``meta.json`` with the fingerprint of the text tokenizer and the hashes of the files.

    Args:
        fst: StdVectorFst; label i + 1 is symbol i, V + 1 the blank, 0 nothing; word j of the lexicon is j + 1.
        lexicon: of the words in the graph.
    """

    fst: Any
    lexicon: Lexicon

    @property
    def words(self) -> list[str]:
        """In the order of their labels, from 1."""
        return list(self.lexicon.words)

    def save(self, folder: str | Path, **facts: Any) -> str:
        """Write the folder, whole or not at all, and return its fingerprint."""
        lexicon = self.lexicon
        names = {key: None if i is None else lexicon.names[i] for key, i in _apart(lexicon).items()}
        with store.writing(folder) as aside:
            aside.mkdir()
            if not self.fst.write(str(aside / FST)):
                raise OSError(None, "OpenFst could not write it")
            store.write_text(aside / "symbols.txt", _table([*lexicon.names, "<blank>"]))
            store.write_text(aside / "words.txt", _table(self.words))
            write_lexicon(aside / "lexicon.txt", lexicon)
            hashes = _hashes(aside)
            name = hashlib.sha256(f"{store.FORMAT}|{hashes}|{lexicon.fingerprint}".encode()).hexdigest()[:16]
            meta = {
                "format": store.FORMAT,
                "fingerprint": name,
                "derived_from": [lexicon.fingerprint],
                **hashes,
                "speechunits": __version__,
                "kind": "graph",
                "tokenizer": lexicon.fingerprint,
                "vocab": len(lexicon.names),
                **names,
                **facts,
            }
            store.write_json(aside / "meta.json", meta)
        return name


def compile_graph(lexicon: Lexicon, model: BackoffModel) -> Graph:
    """The sentences of ``model`` in those of its words that ``lexicon`` has: H (min det (L G)).

    Raises:
        UserError: they have no word in common, or no sentence.
    """
    words = {word: ways for word, ways in lexicon.words.items() if word in model}
    if not words:
        first = next(iter(lexicon.words))
        raise UserError(
            f"the language model has none of the {len(lexicon.words)} words of the lexicon ('{first}' ...); give them in the "
            "same spelling and case"
        )
    lexicon = replace(lexicon, words=words)
    spelled, marks = lexicon_transducer(lexicon)
    sentences = kaldi.compose(spelled, grammar(model, list(words)))
    if not sentences.num_states:
        raise UserError(
            "the language model ends no sentence of the lexicon's words; train it on text that has these words"
        )
    kaldi.determinize(sentences)
    kaldi.minimize(sentences)
    whole = aligned(sentences, len(lexicon.names), marks)
    kaldi.minimize(whole)
    return Graph(whole, lexicon)


def read_meta(folder: str | Path) -> dict[str, Any]:
    """The facts of a graph without reading it.

    Raises:
        UserError: not the folder of a graph.
    """
    meta = store.read_meta(folder)
    if meta.get("kind") != "graph":
        raise UserError(
            f"{folder}: holds a {meta.get('kind', 'part')}, not a graph; give a folder of recipes.compile_graph"
        )
    return meta


def load_graph(folder: str | Path) -> Graph:
    """What ``Graph.save`` wrote.

    Raises:
        UserError: not the folder of a graph, or changed since it was written.
    """
    folder, meta = Path(folder), read_meta(folder)
    for key, found in _hashes(folder).items():
        if meta[key] != found:
            files = FST if key == "weights_sha256" else ", ".join(TABLES)
            raise UserError(f"{folder}: {files} changed or damaged since it was compiled; compile the graph again")
    symbols = [line.split()[0] for line in (folder / "symbols.txt").read_text(encoding="utf-8").splitlines()]
    lexicon = read_lexicon(folder / "lexicon.txt", symbols[1:-1], meta["tokenizer"], meta["between"], meta["silence"])
    return Graph(kaldi.read(folder / FST), lexicon)


def _apart(lexicon: Lexicon) -> dict[str, int | None]:
    return {"between": lexicon.between, "silence": lexicon.silence}


def _table(names: Sequence[str]) -> str:
    """OpenFst's text form of a symbol table."""
    return "".join(f"{name} {label}\n" for label, name in enumerate(["<eps>", *names]))


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of the tables and of the transducer, under the names that every artefact has them.

    Raises:
        UserError: one is missing.
    """
    out = {}
    for key, names in (("config_sha256", TABLES), ("weights_sha256", (FST,))):
        digest = hashlib.sha256()
        for name in names:
            try:
                with open(folder / name, "rb") as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
            except OSError as error:
                raise UserError(
                    f"{folder}/{name}: cannot be read ({error.strerror}); compile the graph again"
                ) from error
        out[key] = digest.hexdigest()
    return out
