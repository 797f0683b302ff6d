"""Normalisers: a table by hand for each language, and for any text at all: twice is once."""

from __future__ import annotations

import pickle
import random
import unicodedata

import pytest

from speechunits.config import build, conf_root, load
from speechunits.errors import UserError
from speechunits.text.by_language import ByLanguage, read_normaliser
from speechunits.text.normaliser import Normaliser

TABLE = [
    ("en", "“Don’t!” said Mr. O'Neill —  'twas  the dogs' bowl…", "don't said mr o'neill twas the dogs bowl"),
    ("en", "At 10:30, 3.5% of 1,000 co-workers; e.g. #2.", "at 10:30 3.5 of 1,000 co workers e g 2"),
    ("en-US", "Ａ　ﬁne caf\u0065\u0301 so\u00adft", "a fine café soft"),
    ("de", "„Straße“, sagte GRÖßE: wie geht's?", "straße sagte größe wie geht's"),
    ("es", "¿Qué? ¡El Niño — pingüino!", "qué el niño pingüino"),
    ("fr", "L’Œuvre d'aujourd’hui : « ça va ? »", "l oeuvre d aujourd hui ça va"),
    ("it", "Dell'acqua, perché no?", "dell acqua perché no"),
    ("nl", "'s Avonds foto's; ĳs", "s avonds foto's ijs"),
    ("pl", "ZAŻÓŁĆ gęślą jaźń.", "zażółć gęślą jaźń"),
    ("pt", "Não! Coração à mão.", "não coração à mão"),
    ("zh", "今天, 天气 很 好。ＯＫ", "今天天气很好ok"),
    ("ja", "ｶﾞｷﾞ を、 みる。", "ガギをみる"),
]


def shipped() -> ByLanguage:
    return build(load(conf_root() / "text" / "normalisation.yaml")["normaliser"])


@pytest.mark.parametrize(("language", "text", "want"), TABLE)
def test_what_becomes_of_text(language: str, text: str, want: str) -> None:
    assert shipped()(text, language) == want


def test_the_shipped_languages() -> None:
    assert {"en", "es", "de", "fr", "it", "pl", "pt", "nl", "zh", "ja"} <= set(shipped().rules)


OTHERS = [
    {"case": "upper"}, {"case": "keep", "form": "NFC"}, {"diacritics": False}, {"inside": "'-"},
    {"inside": "", "spaces": False}, {"replace": {"ß": "ss", "é": "e"}, "inside": "-_"},
]  # fmt: skip


def texts() -> list[str]:
    """Strings of what is troublesome, and of anything."""
    pick, draw = "aÉß3 .,:'’´-\u0301\u0327\u00adİŉΣœ\u0345ｶﾞ가\u1100\u1161今½\u2160ǆ\u200d\u3099_\tﬀẞ", random.Random(0)
    anything = [chr(c) for c in range(0x10000) if unicodedata.category(chr(c)) not in ("Cs", "Co", "Lo")]
    mixed = ["".join(draw.choices(pick, k=draw.randint(1, 14))) for _ in range(600)]
    return mixed + [f"{c}1{c}2 a{c}b" for c in draw.sample(anything, 600)]


TEXTS = texts()


@pytest.mark.parametrize("rules", [*shipped().rules.values(), *(Normaliser(**o) for o in OTHERS)], ids=range(16))
def test_twice_is_once(rules: Normaliser) -> None:
    for text in TEXTS:
        once = rules(text)
        assert rules(once) == once, ascii(text)
        assert once == " ".join(once.split()) and once == unicodedata.normalize(rules.form, once), ascii(text)


def test_options() -> None:
    assert Normaliser(case="upper")("don’t stop") == "DON'T STOP"
    assert Normaliser(case="keep")("Don’t STOP") == "Don't STOP"
    assert Normaliser(diacritics=False)("Ñandú Škoda, ŁÓDŹ") == "nandu skoda łodz"
    assert Normaliser(inside="'-")("co-op - a --b--c") == "co-op a b c"
    assert Normaliser(form="NFC")("ﬁ e\u0301") == "ﬁ é"
    assert Normaliser()("हिन्दी") == "हिन्दी" and Normaliser()("\u0301a") == "a"
    assert Normaliser(inside="")("!\"#$%&'()*+-/;<=>?@[]^_{|}~¿«»—…、。€") == ""


def test_of_no_language() -> None:
    with pytest.raises(UserError, match="no rules for the language fi, only for en, de"):
        shipped()("hei", "fi")
    with pytest.raises(UserError, match="no rules for text of no language, only"):
        shipped()("hello")
    keep = ByLanguage({"pt-BR": Normaliser(case="upper"), "pt": Normaliser()}, default=Normaliser(case="keep"))
    assert [keep("Oi", x) for x in ("pt_BR", "pt-PT", "fi", None)] == ["OI", "oi", "Oi", "Oi"]


def test_for_the_fields_of_a_training() -> None:
    """The same rules in both fields, also in a loader worker that is spawned."""
    fields = load("finetune/ctc.yaml", "text/normalised.yaml")["data"]["fields"]
    for name in ("text", "transcript"):
        found = pickle.loads(pickle.dumps(build(fields[name]["normaliser"])))
        assert [found(text, language) for language, text, _ in TABLE] == [want for *_, want in TABLE]
    with pytest.raises(UserError, match=r"bpe.yaml: has no key normaliser; give a file such as"):
        read_normaliser("text/bpe.yaml")


def test_rules_that_contradict_themselves() -> None:
    with pytest.raises(ValueError, match="inside: 'a' has a letter"):
        Normaliser(inside="a")
    with pytest.raises(ValueError, match="'ae' would be replaced again"):
        Normaliser(replace={"æ": "ae", "a": "e"})
