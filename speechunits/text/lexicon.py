"""Words and how they are written in the symbols of a text tokenizer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.errors import UserError

RESERVED = re.compile(r"#\d+|<eps>|<s>|</s>|<unk>")  # of graphs and language models: never a word or a symbol


@dataclass(frozen=True)
class Lexicon:
    """The pronunciations of words, as ids of a text tokenizer.

    Args:
        words: word -> one or more different pronunciations; their order is that of the words in a graph.
        names: of the ids 0 .. V-1, as files spell them.
        fingerprint: of the tokenizer whose ids these are.
        between: the symbol that parts two words (the space of letters); None where nothing does.
        silence: a symbol that may stand before, between and behind words; None where there is none.
    """

    words: Mapping[str, tuple[tuple[int, ...], ...]]
    names: tuple[str, ...]
    fingerprint: str
    between: int | None = None
    silence: int | None = None

    def places(self, words: Sequence[str], ids: Sequence[int]) -> list[tuple[int, int]]:
        """Where each of ``words`` lies in ``ids``, which say them: its first symbol and the one behind its last."""
        ids = tuple(ids)
        # of each word: where it may end -> where it then begins, where the one before it ends
        reached: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
        for number, word in enumerate(words):
            starts = {begin: end for end in reached[-1] for begin in self._begins(ids, end, number == 0)}
            ways = self.words[word]
            said = [(a, a + len(way)) for a in starts for way in ways if ids[a : a + len(way)] == way]
            reached.append({end: (begin, starts[begin]) for begin, end in said})
        end = len(ids) if len(ids) in reached[-1] else len(ids) - 1  # a last silence
        out = []
        for ends in reached[:0:-1]:
            begin, before = ends[end]
            out.append((begin, end))
            end = before
        return out[::-1]

    def _begins(self, ids: tuple[int, ...], end: int, first: bool) -> list[int]:
        """Where a word may begin after one that ended at ``end``."""
        if self.between is not None and not first:
            return [end + 1] if ids[end : end + 1] == (self.between,) else []
        return [end, *([end + 1] if ids[end : end + 1] == (self.silence,) else [])]


def symbol_names(symbols: Iterable[str]) -> tuple[str, ...]:
    """What files call the ``symbols`` of a text tokenizer: themselves, and the space ``<space>``.

    Raises:
        UserError: they would call two of them the same.
    """
    names = tuple("<space>" if symbol.isspace() else symbol for symbol in symbols)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(
            f"two of the {len(names)} symbols of the text tokenizer would be called {twice[0]} in files; fit one without the "
            "other"
        )
    return names


def spell(words: Iterable[str], tokenizer: Any) -> tuple[Lexicon, list[str]]:
    """Each word as ``tokenizer`` encodes it, and the words that it, or a line of a lexicon, cannot write.

    What stands between two words is what the tokenizer puts there, for example the space of ``Characters``.

    Raises:
        UserError: it can write none of them.
    """
    spelled: dict[str, tuple[tuple[int, ...], ...]] = {}
    strange = []
    for word in dict.fromkeys(words):
        try:
            ids = tuple(tokenizer.encode(word).tolist())
        except UserError:
            ids = ()
        if ids and word.split() == [word] and not RESERVED.fullmatch(word):
            spelled[word] = (ids,)
        else:
            strange.append(word)
    if not spelled:
        raise UserError(
            f"none of the {len(strange)} words ({', '.join(strange[:3])} ...) can be written in the symbols of the text "
            f"tokenizer {tokenizer.fingerprint}; give words as its transcripts have them, for example in the same case"
        )
    word = next(iter(spelled))
    ids, twice = spelled[word][0], tuple(tokenizer.encode(f"{word} {word}").tolist())
    parts = twice[len(ids) : len(twice) - len(ids)]
    if len(parts) > 1 or twice != (*ids, *parts, *ids):
        raise UserError(
            f"'{word} {word}' is not written as '{word}' twice by the text tokenizer {tokenizer.fingerprint}, so words cannot "
            "be spelled one by one; give a lexicon file"
        )
    between = parts[0] if parts else None
    return Lexicon(spelled, symbol_names(tokenizer.symbols), tokenizer.fingerprint, between), strange


def read_lexicon(
    path: str | Path,
    symbols: Iterable[str],
    fingerprint: str,
    between: str | None = None,
    silence: str | None = None,
) -> Lexicon:
    """Lines ``word symbol symbol ...``; a word with several pronunciations has several lines.

    Args:
        symbols, fingerprint: of the text tokenizer.
        between: name of the symbol that parts two words.
        silence: name of a symbol that may stand before, between and behind words; one of the two at most.

    Raises:
        UserError: the file or a line of it is at fault, or a name is not that of a symbol.
    """
    names = symbol_names(symbols)
    ids = {name: i for i, name in enumerate(names)}
    if between is not None and silence is not None:
        raise UserError("between, silence: words are parted by one of them; leave the other out")
    given = {"between": between, "silence": silence}
    named = {key: symbol_names([name])[0] for key, name in given.items() if name is not None}
    for key, name in named.items():
        if name not in ids:
            raise UserError(
                f"{key}: '{name}' is not among the {len(ids)} symbols of the text tokenizer {fingerprint}; name one"
            )
    apart = {key: ids[name] for key, name in named.items()}
    words: dict[str, list[tuple[int, ...]]] = {}
    seen: dict[tuple[str, tuple[int, ...]], int] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        word, *said = line.split()
        at = f"{path}:{number}: '{word}'"
        if reserved := [name for name in (word, *said) if RESERVED.fullmatch(name)]:
            raise UserError(
                f"{at} has {reserved[0]}, which graphs and language models keep for themselves; leave it out"
            )
        if not said:
            raise UserError(f"{at} has no pronunciation; write its symbols behind it")
        if strange := [name for name in said if name not in ids]:
            raise UserError(
                f"{at} has '{strange[0]}', which is not among the {len(ids)} symbols of the text tokenizer "
                f"{fingerprint}; mend the line, or fit the tokenizer on text that has it"
            )
        way = tuple(ids[name] for name in said)
        if taken := [key for key, i in apart.items() if i in way]:
            raise UserError(f"{at} has the symbol of {taken[0]}, which parts words; take it out of the line")
        if (word, way) in seen:
            raise UserError(f"{at} is written the same way as in line {seen[word, way]}; delete one of them")
        seen[word, way] = number
        words.setdefault(word, []).append(way)
    if not words:
        raise UserError(f"{path}: has no words; write lines of a word and its symbols")
    return Lexicon({word: tuple(ways) for word, ways in words.items()}, names, fingerprint, **apart)


def write_lexicon(path: str | Path, lexicon: Lexicon) -> None:
    """What ``read_lexicon`` reads."""
    lines = (
        f"{word} {' '.join(lexicon.names[i] for i in way)}\n" for word, ways in lexicon.words.items() for way in ways
    )
    store.write_text(path, "".join(lines))


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(f"{path}: cannot be read ({why}); give a text file of words and their symbols") from error
