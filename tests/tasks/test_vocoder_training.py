"""Training of a vocoder: who is told what, exact counts, the moving average, and a training in which the mel loss falls."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.protocols import Finishes, Predicts, Stepped, Trainable
from speechunits.seq import Seq
from speechunits.tasks.vocoder_training import VocoderTraining
from speechunits.term import Term, loss
from tests.tasks.frame_vocoder import STREAMS, batch, rows_of

PLACE = "speechunits.vocoders"
TREE: dict[str, Any] = {
    "_target_": "speechunits.tasks.vocoder_training.VocoderTraining",
    "vocoder": {"_target_": "tests.tasks.frame_vocoder.FrameVocoder"},
    "discriminators": {
        "_target_": f"{PLACE}.discriminators.Discriminators",
        "parts": {
            "period": {
                "_target_": f"{PLACE}.period_discriminator.PeriodDiscriminator",
                "periods": [2, 3],
                "channels": [4, 8],
            },
            "scale": {
                "_target_": f"{PLACE}.scale_discriminator.ScaleDiscriminator",
                "scales": 2,
                "channels": [4, 16, 16, 16, 16, 16, 8],
            },
            "stft": {
                "_target_": f"{PLACE}.stft_discriminator.STFTDiscriminator",
                "windows": [128],
                "channels": 4,
                "weight": 0.3,
            },
        },
    },
    "mel": {
        "_target_": f"{PLACE}.mel_distance.MelDistance",
        "scales": [{"_target_": f"{PLACE}.mel.Mel", "fft": 512, "hop": 128, "bands": 40}],
    },
}


def make(**changes: Any) -> VocoderTraining:
    torch.manual_seed(0)
    made = build({**TREE, **changes}, streams=STREAMS)
    assert isinstance(made, VocoderTraining)
    return made.double().train()


def sides(model: VocoderTraining, of: Any) -> tuple[dict[str, Term], dict[str, Term]]:
    made = model.generate(of)
    return model.discriminator_terms(of, made), model.generator_terms(of, made)


def gradients(model: VocoderTraining) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def test_it_is_what_the_loop_asks_for() -> None:
    model = make()
    for protocol in (Trainable, Predicts, Finishes, Stepped):
        assert isinstance(model, protocol)
    assert model.labels == {"units": "km6"}


def test_every_term_is_counted_before_it_is_made() -> None:
    model, heard = make(), batch(9, 9, 9)
    counts, (judges, maker) = model.counts(heard), sides(model, heard)
    weighted = {name: int(term.den) for name, term in {**judges, **maker}.items() if term.weight}
    assert weighted == {name: int(count) for name, count in counts.items()}
    assert set(judges) == {"discriminator/real", "discriminator/made"}
    assert {name: term.weight for name, term in maker.items()} == {
        "generator/adversarial": 1, "generator/features": 1, "generator/mel": 45, "generator/duration": 0.5,
    }  # fmt: skip


def test_without_a_weight_a_term_is_shown_alone() -> None:
    model, heard = make(features_weight=0.0, duration_weight=0.0), batch(9)
    assert "generator/features" not in model.counts(heard) and "generator/duration" not in model.counts(heard)
    shown = sides(model, heard)[1]
    assert shown["generator/features"].weight == shown["generator/duration"].weight == 0


def test_terms_are_the_equations() -> None:
    """HiFi-GAN, equations 1 to 5, over the judges' weights, by torch's means over a batch."""
    model, heard = make(), batch(9, 9)
    made, real = model.generate(heard).data, heard["audio"].data[:, : 9 * 320]
    judges, maker = sides(model, heard)
    pairs = list(zip(model.discriminator(made), model.discriminator(real), model.discriminator.weights, strict=True))
    expected = {
        "discriminator/real": sum(w * (1 - s).square().mean() for _, (s, _), w in pairs),
        "discriminator/made": sum(w * s.square().mean() for (s, _), _, w in pairs),
        "generator/adversarial": sum(w * (1 - s).square().mean() for (s, _), _, w in pairs),
        "generator/features": sum(
            2 * w * sum((a - b).abs().mean() for a, b in zip(x, y, strict=True)) for (_, x), (_, y), w in pairs
        ),
        "generator/mel": model.mel(made, real).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close({**judges, **maker}[name].value, value)


def test_each_side_moves_its_own_weights() -> None:
    model, heard = make(), batch(9, 8)
    made = model.generate(heard)
    loss(model.discriminator_terms(heard, made)).backward()
    touched = gradients(model)
    assert set(touched) == {name for name, _ in model.named_parameters() if name.startswith("discriminator.")}
    model.zero_grad()
    with pytest.MonkeyPatch.context() as patch:  # as the loop does
        for parameter in model.discriminator.parameters():
            patch.setattr(parameter, "requires_grad", False)
        loss(model.generator_terms(heard, made)).backward()
    assert set(gradients(model)) == {name for name, _ in model.named_parameters() if name.startswith("generator.")}
    assert all(p.requires_grad for p in model.discriminator.parameters())


def test_micro_batches_add_up_to_the_batch() -> None:
    """With the counts of the whole update, also where segments differ in length."""
    model, whole = make(), batch(9, 8, 9, 7)
    found = []
    for parts in ([(0, 1, 2, 3)], [(0,), (1, 3), (2,)]):
        model.zero_grad()
        micro = [rows_of(whole, *rows) for rows in parts]
        counts: dict[str, Tensor] = {}
        for part in micro:
            counts = {name: counts.get(name, 0) + count for name, count in model.counts(part).items()}
        for part in micro:
            for terms in sides(model, part):
                loss(terms, counts).backward()
        found.append(gradients(model))
    once, apart = found
    assert once.keys() == apart.keys()
    for name, gradient in once.items():
        torch.testing.assert_close(apart[name], gradient, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_padding_and_batch_mates_change_nothing() -> None:
    model, whole = make(), batch(9, 6, 12)
    together = {**sides(model, whole)[0], **sides(model, whole)[1]}
    alone = [{**a, **b} for a, b in (sides(model, rows_of(whole, i)) for i in range(3))]
    spoilt = {**whole, "audio": whole["audio"].with_data(whole["audio"].data + 5 * ~whole["audio"].valid)}
    dirty = {**sides(model, spoilt)[0], **sides(model, spoilt)[1]}
    for name, term in together.items():
        torch.testing.assert_close(term.num, sum(each[name].num for each in alone))
        torch.testing.assert_close(term.num, dirty[name].num)


def test_draws_are_for_training_and_validation_is_of_the_average() -> None:
    model, heard = make(), batch(9, 7)
    model.generate(heard)
    assert model.generator.drawn is heard["draws"]
    with torch.no_grad():
        for p in model.generator.parameters():
            p.add_(1.0)
    model.eval()
    model.generate(heard)
    assert model.generator.drawn is None
    shown = model.terms(heard)
    assert set(shown) == {"generator/mel", "generator/duration"} and not shown["generator/mel"].num.requires_grad
    fresh = make()  # the average has not moved yet
    expected = {**sides(fresh, heard)[1]}
    for name, term in shown.items():
        torch.testing.assert_close(term.num, expected[name].num.detach())
        assert (int(term.den), term.weight) == (int(expected[name].den), expected[name].weight)
    assert model.predict(heard)["audio"].data.equal(fresh.predict(heard)["audio"].data)
    assert make(average=None).vocoder is not None and "average" not in dict(make(average=None).named_children())


def test_the_average_is_the_recursion_and_what_is_saved(tmp_path: Path) -> None:
    model = make(average=0.4)
    expected = {name: p.detach().clone() for name, p in model.generator.named_parameters()}
    for step in range(1, 6):
        with torch.no_grad():
            for p in model.generator.parameters():
                p.add_(torch.randn_like(p))
        for module in model.modules():
            if isinstance(module, Stepped):
                module.on_step(step, model)
        decay = min(0.4, (1 + step) / (10 + step))
        expected = {n: decay * expected[n] + (1 - decay) * p.detach() for n, p in model.generator.named_parameters()}
    artefacts = model.artefacts()
    assert list(artefacts) == ["vocoder"]
    for name, p in artefacts["vocoder"].named_parameters():
        torch.testing.assert_close(p, expected[name], rtol=0, atol=1e-12)
    store.save(artefacts["vocoder"], tmp_path / "vocoder")
    restored = store.restore(tmp_path / "vocoder")
    assert all(torch.equal(p, expected[name].float()) for name, p in restored.named_parameters())
    further = make(vocoder=restored)
    assert further.generator is restored and further.labels == {"units": "km6"}


def test_discriminators_wait_for_their_update() -> None:
    model, heard = make(adversarial_from=3), batch(9)
    judges, maker = sides(model, heard)
    assert judges == {} and set(maker) == {"generator/mel", "generator/duration"} == set(model.counts(heard))
    model.on_step(2, model)
    assert sides(model, heard)[0] == {}
    model.on_step(3, model)
    judges, maker = sides(model, heard)
    assert len(judges) == 2 and len(maker) == 4 and len(model.counts(heard)) == 6
    resumed = make(adversarial_from=3)
    other = copy.deepcopy(resumed)
    resumed.load_state_dict(model.state_dict())
    assert len(sides(resumed, heard)[0]) == 2 and sides(other, heard)[0] == {}


def test_audio_of_another_rate_or_too_short_is_refused() -> None:
    model, heard = make(), batch(9)
    audio: Seq = heard["audio"]
    with pytest.raises(
        UserError, match=r"the audio has 24000 Hz, the vocoder speaks at 16000 Hz; set rate=16000 there"
    ):
        model.terms({**heard, "audio": Seq(audio.data, audio.lengths, Fraction(1, 24000))})
    with pytest.raises(UserError, match="needs audio of more than 192, found 150"):
        model.terms({**heard, "audio": Seq(audio.data, torch.tensor([150]), audio.hop)})


def test_a_short_training_brings_the_mel_loss_down() -> None:
    """Two optimizers in turn, as the loop does: the mel distance of the average to unseen audio falls by a third."""
    parts = {name: TREE["discriminators"]["parts"][name] for name in ("period", "stft")}
    how = {"_target_": f"{PLACE}.adversarial_loss.AdversarialLoss", "kind": "hinge"}
    model = make(loss=how, discriminators={**TREE["discriminators"], "parts": parts}, average=0.8).float()
    heard, unseen = batch(5, 5, 5, dtype=torch.float32), batch(8, 7, seed=1, dtype=torch.float32)
    judge = torch.optim.AdamW(model.discriminator.parameters(), 1e-3, (0.8, 0.99))
    maker = torch.optim.AdamW(model.generator.parameters(), 1e-2, (0.8, 0.99))
    values = []
    for step in range(1, 41):
        if step % 20 == 1:
            values.append(float(model.eval().terms(unseen)["generator/mel"].value))
            model.train()
        counts, made = model.counts(heard), model.generate(heard)
        judge.zero_grad()
        loss(model.discriminator_terms(heard, made), counts).backward()
        judge.step()
        maker.zero_grad()
        loss(model.generator_terms(heard, made), counts).backward()
        maker.step()
        for module in model.modules():
            if isinstance(module, Stepped):
                module.on_step(step, model)
    values.append(float(model.eval().terms(unseen)["generator/mel"].value))
    assert values[0] > values[1] > values[2] and values[2] < 2 / 3 * values[0]
