"""Who says what: the list of utterances that a corpus of given sizes and seed consists of."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from speechunits.data.demo.grammar import SENTENCES, SPLITS, sentence, split_of
from speechunits.errors import UserError

_SIZES = ("sentences", "spanish", "speakers")
_NOTHING = dict.fromkeys(_SIZES, 0)
# a speaker's name says where it may appear, in every corpus
_LETTER = {"train": "", "valid": "v", "test": "t", "pairs": "t"}


@dataclass(frozen=True)
class Utterance:
    """Everything that decides one recording, and nothing else does.

    ``rate`` is in words per minute, ``pitch`` and ``pitch_range`` in eSpeak's 0..99; ``channel``: varied per utterance.
    """

    id: str
    pair: str
    split: str
    language: str
    speaker: str
    text: str
    rate: int
    pitch: int
    pitch_range: int
    seed: int
    channel: bool


def plan(
    sizes: Mapping[str, Mapping[str, int]], *, seed: int, target_speaker: str | None, channel: bool, seen: int = 0
) -> list[Utterance]:
    """The utterances in manifest order. Splits share neither sentences nor English speakers, but for two things.

    ``pairs`` is spoken by the speakers of test; and the first ``seen`` sentences of test and of pairs are spoken once more in
    English, by speakers of train, as ``test_seen`` and ``pairs_seen``: what changes from test to test_seen is who speaks.

    Args:
        sizes: for each of train, valid and test, and pairs if it is wanted: ``sentences`` spoken in English, how many of
            these (the first) are spoken in ``spanish`` too, and by how many ``speakers``, as evenly as can be, half of them
            female.
        target_speaker: says all the Spanish, in one unvarying channel; None = the split's own speakers do.
        channel: vary the channel of each utterance (except the target speaker's).
        seen: sentences.

    Raises:
        UserError: a size is missing, unknown, not a number, negative, or asks for more than there is.
    """
    utterances: list[Utterance] = []
    said: dict[str, list[int]] = {}
    for split in SPLITS:
        size = _checked(split, sizes.get(split, _NOTHING if split == "pairs" else {}))
        draw = random.Random(f"plan:{seed}:{split}")
        names = _names(split, size["speakers"])
        english, spanish = _turns(names, draw), _turns(names, draw)
        said[split] = _sentences(split, size["sentences"], draw)
        for i, index in enumerate(said[split]):
            pair, text = f"{split}-{i:05d}", sentence(index)
            utterances.append(_utterance(pair, "en", next(english), text["en"], seed, channel))
            if i < size["spanish"]:
                own = target_speaker is None
                speaker = target_speaker or next(spanish)
                utterances.append(_utterance(pair, "es", speaker, text["es"], seed, channel and own))
    if seen > len(said["test"]):
        raise UserError(f"demo corpus: seen is {seen} and test.sentences {len(said['test'])}: lower the first")
    for split in ("test", "pairs"):
        turns = _turns(_names("train", sizes["train"]["speakers"]), random.Random(f"plan:{seed}:{split}_seen"))
        for i, index in enumerate(said[split][:seen]):
            pair = f"{split}_seen-{i:05d}"
            utterances.append(_utterance(pair, "en", next(turns), sentence(index)["en"], seed, channel))
    return utterances


def _names(split: str, speakers: int) -> list[str]:
    return [f"{'fm'[i % 2]}{_LETTER[split]}{i // 2:03d}" for i in range(speakers)]


def _checked(split: str, size: Mapping[str, int]) -> Mapping[str, int]:
    if set(size) != set(_SIZES) or any(not isinstance(n, int) or n < 0 for n in size.values()):
        raise UserError(f"demo corpus: '{split}' is {dict(size)}: give it the three counts {', '.join(_SIZES)}")
    if size["spanish"] > size["sentences"] or size["speakers"] > size["sentences"]:
        raise UserError(f"demo corpus: {split}.sentences is below {split}.spanish or {split}.speakers: raise it")
    if size["sentences"] and not 0 < size["speakers"] <= 2000:
        raise UserError(f"demo corpus: {split}.speakers is {size['speakers']}: use 1 to 2000")
    if size["sentences"] > 1_000_000:
        raise UserError(f"demo corpus: {split}.sentences is {size['sentences']}: use at most a million")
    return size


def _sentences(split: str, count: int, draw: random.Random) -> list[int]:
    """``count`` different sentences of a split, in random order."""
    found: dict[int, None] = {}
    while len(found) < count:
        index = draw.randrange(SENTENCES)
        if split_of(index) == split:
            found[index] = None
    return list(found)


def _turns(names: list[str], draw: random.Random) -> Iterator[str]:
    """Endless rounds, each in a new order: counts per speaker differ by one at most."""
    while names:
        yield from draw.sample(names, len(names))


def _utterance(pair: str, language: str, speaker: str, text: str, seed: int, channel: bool) -> Utterance:
    draw = random.Random(f"utterance:{seed}:{pair}:{language}")
    return Utterance(
        id=f"{pair}-{language}-{speaker}",
        pair=pair,
        split=pair.split("-")[0],
        language=language,
        speaker=speaker,
        text=text,
        rate=draw.randint(150, 205),
        pitch=draw.randint(40, 60),
        pitch_range=draw.randint(38, 68),
        seed=draw.randrange(1 << 30),
        channel=channel,
    )
