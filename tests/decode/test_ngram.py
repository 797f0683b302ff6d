"""NGram and ARPA files: back-off by hand, probabilities that add up, and files that are none."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.decode.arpa import read_arpa, write_arpa
from speechunits.decode.backoff_model import NEVER, BackoffModel, read_model
from speechunits.decode.fusion import Fusion
from speechunits.decode.ngram import NGram, read_ngram
from speechunits.decode.perplexity import perplexity
from speechunits.decode.witten_bell import count_grams, witten_bell
from speechunits.errors import UserError
from speechunits.text.characters import Characters
from tests.decode.letters import letter_model

TEXT = Characters("ab")
# A pruned trigram model of the ids 0 and 1: "1 0" has a weight and no trigram, "0 1" a trigram; "</s>" is 2 here.
ARPA = """a comment

\\data\\
ngram 1=4
ngram 2=4
ngram 3=2

\\1-grams:
-99\t<s>\t-0.25
-0.5\t0\t-0.3
-0.6 1 -0.2
-0.7\t</s>

\\2-grams:
-0.1\t<s> 0\t-0.4
-0.2\t0 1\t-0.15
-0.35\t1 0\t-0.05
-0.45\t1 </s>

\\3-grams:
-0.01\t<s> 0 1
-0.02\t0 1 </s>

\\end\\
"""


def model(folder: Path, text: str = ARPA) -> NGram:
    (folder / "lm.arpa").write_text(text)
    return read_ngram(folder / "lm.arpa", TEXT)


@pytest.mark.parametrize(
    ("symbols", "logs"),
    [
        ([0, 1, 2], [-0.1, -0.01, -0.02]),  # all there
        ([0, 0], [-0.1, -0.4 - 0.3 - 0.5]),  # neither "<s> 0 0" nor "0 0"
        ([1], [-0.25 - 0.6]),  # no "<s> 1"
        ([1, 0, 1], [-0.85, -0.35, -0.05 - 0.2]),  # "1 0" has a weight but no trigram
        ([1, 2], [-0.85, -0.45]),
        ([0, 1, 0, 2], [-0.1, -0.01, -0.15 - 0.35, -0.05 - 0.3 - 0.7]),
        ([1, 1, 1], [-0.85, -0.2 - 0.6, -0.2 - 0.6]),  # "1 1" is no history
    ],
)
def test_back_off_is_that_of_the_file(tmp_path: Path, symbols: list[int], logs: list[float]) -> None:
    lm = model(tmp_path)
    state = torch.tensor([lm.begin, lm.begin])
    for symbol, log10 in zip(symbols, logs, strict=True):
        found, after = lm.score(state, torch.tensor([[symbol, 0], [1, symbol]]))
        assert found[0, 0] == found[1, 1]
        assert float(found[0, 0]) == pytest.approx(log10 * math.log(10), abs=1e-6)
        state = torch.stack([after[0, 0], after[1, 1]])


def test_weights_of_the_longest_n_grams_mean_nothing(tmp_path: Path) -> None:
    """Some programs write them; the history after such a trigram is still one of two symbols."""
    lm = model(tmp_path, ARPA.replace("-0.01\t<s> 0 1", "-0.01\t<s> 0 1\t-0.4"))
    state = torch.tensor(lm.begin)
    for symbol, log10 in ((0, -0.1), (1, -0.01), (0, -0.15 - 0.35)):
        found, after = lm.score(state, torch.tensor([symbol]))
        assert float(found) == pytest.approx(log10 * math.log(10), abs=1e-6)
        state = after[0]


def test_the_logarithm_of_zero_is_a_number(tmp_path: Path) -> None:
    """With the weight 0, a language model changes nothing."""
    lm = model(tmp_path, ARPA.replace("-0.5\t0\t-0.3", "-inf\t0\t-inf"))
    assert float(lm.score(torch.tensor(0), torch.tensor([0]))[0]) == pytest.approx(-99 * math.log(10))
    assert Fusion(lm, 0.0).score(torch.tensor(0), torch.arange(2))[0].tolist() == [0, 0]
    assert read_model(tmp_path / "lm.arpa").grams["0",] == (NEVER, NEVER)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_probabilities_of_every_history_add_up_to_one(order: int) -> None:
    lm = letter_model("abcd", ["abca", "bca", "ab", "c", "", "aaaa"], order)  # there is no d
    states = torch.arange(len(lm.weights))
    found, after = lm.score(states, torch.arange(5).expand(len(states), -1))
    assert found.double().exp().sum(-1).tolist() == pytest.approx([1.0] * len(states), abs=1e-6)
    assert float(found.min()) > -torch.inf and int(after.max()) < len(states)


def test_witten_bell_by_hand() -> None:
    """c(a b) = 2, c(a </s>) = 1, so that two kinds follow a; five events, three kinds, uniform over a b c </s>."""
    levels = witten_bell(count_grams([["a", "b"], ["a", "b"], ["a"]], 2), ["a", "b", "c"])
    whole = {"a": (3 + 3 / 4) / 11, "b": (2 + 3 / 4) / 11, "c": (3 / 4) / 11, "</s>": (3 + 3 / 4) / 11}
    assert {k: 10 ** levels[0][k,][0] for k in whole} == pytest.approx(whole)
    assert 10 ** levels[1]["a", "b"][0] == pytest.approx((2 + 2 * whole["b"]) / 5)
    assert 10 ** levels[0]["a",][1] == pytest.approx(2 / 5) and 10 ** levels[0]["<s>",][1] == pytest.approx(1 / 4)
    assert ("<s>", "b") not in levels[1] and levels[0]["<s>",][0] == -99


def test_witten_bell_is_its_recursion() -> None:
    """Every probability of a trigram model, by the equation."""
    texts = ["abcab", "cab", "bb", ""]
    lm, grams = letter_model("abc", texts, 3), [tuple("<" + t + ">") for t in texts]

    def chance(history: tuple[str, ...], symbol: str, n: int) -> float:
        if n < 0:
            return 1 / 4
        h = history[len(history) - n :]
        after = [g[i + n] for g in grams for i in range(len(g) - n) if g[i : i + n] == h and (i + n)]
        if not after:
            return chance(history, symbol, n - 1)
        kinds = len(set(after))
        return (after.count(symbol) + kinds * chance(history, symbol, n - 1)) / (len(after) + kinds)

    for n in range(4):
        for said in itertools.product("abc", repeat=n):
            state = torch.tensor(lm.begin)
            for c in said:
                state = lm.score(state, torch.tensor(["abc".index(c)]))[1][0]
            history = ("<", *said)
            found = lm.score(state, torch.arange(4))[0].exp().tolist()
            assert found == pytest.approx([chance(history, c, min(2, len(history))) for c in "abc>"], abs=1e-6), said


def test_a_file_is_what_was_written(tmp_path: Path) -> None:
    levels = witten_bell(count_grams([["a", "b"], ["b"]], 3), ["a", "b"])
    write_arpa(tmp_path / "lm.arpa", levels, "by hand")
    for a, b in zip(read_arpa(tmp_path / "lm.arpa"), levels, strict=True):
        assert a.keys() == b.keys()
        assert [v for pair in a.values() for v in pair] == pytest.approx([v for k in a for v in b[k]], abs=1e-8)


def test_a_folder_needs_no_file(tmp_path: Path) -> None:
    lm = letter_model("abc", ["abca", "cb"], 3)
    store.save(lm, tmp_path / "ngram", kind="ngram")
    back = store.restore(tmp_path / "ngram", expect=NGram)
    states = torch.arange(len(lm.weights))[:, None].expand(-1, 1)[:, 0]
    for a, b in zip(lm.score(states, torch.arange(4).expand(len(states), -1)),
                    back.score(states, torch.arange(4).expand(len(states), -1)), strict=True):  # fmt: skip
        assert a.equal(b)
    assert (back.begin, back.vocab, back.text) == (lm.begin, (3,), Characters("abc").fingerprint)


def test_unknown_symbols_have_the_unknowns_probability(tmp_path: Path) -> None:
    text = ARPA.replace("-0.6 1 -0.2", "-0.6 <unk> -0.2").replace("\t1 ", "\t<unk> ").replace(" 1", " <unk>")
    lm = model(tmp_path, text.replace("ngram <unk>", "ngram 1"))
    found, after = lm.score(torch.tensor(0), torch.tensor([1]))
    assert float(found) == pytest.approx(-0.6 * math.log(10)) and int(after) == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\\data\\", "data", r"no ARPA file \(it has no line"),
        ("ngram 2=4", "ngram 3=4", "'ngram 3=4' is not 'ngram 2=COUNT'"),
        ("ngram 2=4", "ngram 2=5", "4 2-grams, and its head says 5"),
        ("-0.35\t1 0\t-0.05", "-0.35\t1 0\tlow", "is no 2-gram with its logarithms"),
        ("-0.35\t1 0\t-0.05", "-0.35\t1", "is no 2-gram with its logarithms"),
        ("-0.35\t1 0\t-0.05", "nan\t1 0\t-0.05", "is no 2-gram with its logarithms"),
        ("-0.35\t1 0\t-0.05", "-0.35\t1 0\tinf", "is no 2-gram with its logarithms"),
        ("\\end\\", "", "ends within its 3-grams"),
        ("\\1-grams:", "", "is not 'ngram 4=COUNT'"),
        ("ngram 1=4\nngram 2=4\nngram 3=2\n", "", r"'\\1-grams:' is not 'ngram 1=COUNT'"),
        ("1 </s>", "the </s>", "'the' is not the number of one of the 2 symbols of the text tokenizer"),
        ("-0.7\t</s>", "-0.7\t<unk>", None),
    ],
)
def test_files_that_are_none(tmp_path: Path, old: str, new: str, says: str | None) -> None:
    if says is None:
        assert float(model(tmp_path, ARPA.replace(old, new)).score(torch.tensor(0), torch.tensor([2]))[0]) < 0
        return
    with pytest.raises(UserError, match=says):
        model(tmp_path, ARPA.replace(old, new, 1))


def test_a_symbol_that_the_file_lacks(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    with pytest.raises(UserError, match="has neither the symbol '2' nor <unk>"):
        read_ngram(tmp_path / "lm.arpa", Characters("abc"))
    with pytest.raises(UserError, match="cannot be read"):
        read_ngram(tmp_path / "none.arpa", TEXT)


def test_what_cannot_be_counted() -> None:
    with pytest.raises(UserError, match="no text to count"):
        witten_bell(count_grams([], 2), [])
    with pytest.raises(UserError, match="'a <s>' has a word <s> or </s>"):
        count_grams([["a", "<s>"]], 2)
    with pytest.raises(UserError, match="valid: no text"):
        perplexity(BackoffModel({}, 1), [])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_perplexity_is_that_of_the_tensors(order: int, tmp_path: Path) -> None:
    texts = [["0", "1", "1"], ["1"], ["0", "0"]]
    write_arpa(tmp_path / "lm.arpa", witten_bell(count_grams(texts, order), ["0", "1"]))
    lm, nats, count = read_ngram(tmp_path / "lm.arpa", TEXT), 0.0, 0
    for said in ([1, 0, 1, 1], [], [0]):
        state = torch.tensor(lm.begin)
        for symbol in (*said, 2):
            found, after = lm.score(state, torch.tensor([symbol]))
            nats, count, state = nats + float(found), count + 1, after[0]
    found_ = perplexity(read_model(tmp_path / "lm.arpa"), [["1", "0", "1", "1"], [], ["0"]])
    assert found_ == pytest.approx(math.exp(-nats / count), rel=1e-6)


def test_unknown_words_count_as_the_unknown_one(tmp_path: Path) -> None:
    write_arpa(tmp_path / "lm.arpa", witten_bell(count_grams([["a", "b"], ["a"]], 2), ["a", "b", "<unk>"]))
    model = read_model(tmp_path / "lm.arpa")
    assert perplexity(model, [["c", "a"]]) == perplexity(model, [["<unk>", "a"]]) < 100
