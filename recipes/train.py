"""Train a model: python -m recipes.train SYSTEM.yaml [SIZE.yaml ...] out=exp/run data.train=... trainer.max_steps=...

Writes into ``out``: the resolved configuration, versions, log, figures (``metrics.csv``), ``checkpoints/`` and, at the
end, what the model is for as artefacts (``encoder/``; of a recogniser ``recogniser/`` too). Run again after an
interruption, it goes on where it stopped, bit for bit. ``init_from`` starts a new run from the weights of an encoder
folder (new optimizer, schedule and data position). A model that trains a generator and a discriminator takes
``discriminator_optimizer`` (and ``discriminator_schedule``) beside ``optimizer`` (and ``schedule``), which are its generator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits import store
from speechunits.config import build, check_build
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.metrics.measure import Measure
from speechunits.part import ConfigError, Tree
from speechunits.protocols import Adversarial, Finishes
from speechunits.provenance import PACKAGES, write_provenance
from speechunits.recipe import log_to, main
from speechunits.stream import Stream
from speechunits.train.adversarial_module import AdversarialModule
from speechunits.train.callbacks.same_everywhere import SameEverywhere
from speechunits.train.checkpoint import to_resume
from speechunits.train.loggers import announce
from speechunits.train.module import TrainModule
from speechunits.train.random_state import seed_all
from speechunits.train.window_module import WindowModule


def start_from(encoder: SpeechEncoder, folder: str) -> str:
    """Give ``encoder`` the weights of an encoder folder, all but the masker's where only one has some; its fingerprint."""
    given = store.restore(folder, expect=SpeechEncoder)
    try:
        odd = encoder.load_state_dict(given.state_dict(), strict=False)
        strange = [k for k in (*odd.missing_keys, *odd.unexpected_keys) if not k.startswith("masker.")]
        why = f"only one of them has {', '.join(strange[:3])}" if strange else ""
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
    if why:
        raise UserError(f"init_from={folder}: another architecture than model.encoder ({why}); make the two alike")
    return str(given.fingerprint)


def measure(name: str, node: Tree, vocab: tuple[int, ...] | None) -> Measure:
    """A validation measure, given the codebook sizes if it asks for them."""
    made = build(node, at=f"measures.{name}", **({} if vocab is None else {"vocab": vocab}))
    if not isinstance(made, Measure):
        raise UserError(f"measures.{name}: no measure, or one that needs the vocabulary that no objective has; drop it")
    return made


def made_from(learner: Any, streams: Mapping[str, Stream]) -> set[str]:
    """Fingerprints of the encoder that the training starts from and of the codes that it is trained on."""
    if not isinstance(learner, Finishes):
        raise UserError(f"model: {type(learner).__name__} lacks labels or artefacts(), so nothing of it could be saved")
    for field, wanted in learner.labels.items():
        found = streams[field].fingerprint if field in streams else "none"
        if wanted not in (None, found):
            raise UserError(
                f"data.fields.{field}: the model is trained on that of the tokenizer {wanted}, and the data has "
                f"{found}; name one tokenizer in both"
            )
    encoders = [part for part in learner.modules() if isinstance(part, SpeechEncoder)]
    names = {streams[field].fingerprint for field in learner.labels} | {
        getattr(e, "fingerprint", None) for e in encoders
    }
    return {name for name in names if name}


def driver(learner: Any, makes: Mapping[str, Tree | None], **options: Any) -> WindowModule:
    """What trains ``learner``, by its protocol; ``makes`` are its optimizers and schedules by key."""
    given = {key: build(node, at=key) for key, node in makes.items() if node is not None}
    name = type(learner).__name__
    if not isinstance(learner, Adversarial):
        if odd := [key for key in given if key.startswith("discriminator")]:
            raise UserError(f"{odd[0]}: model {name} has no discriminator; drop {' and '.join(odd)}")
        return TrainModule(learner, **given, **options)
    if "discriminator_optimizer" not in given:
        raise UserError(
            f"discriminator_optimizer: model {name} has a discriminator to train; give it one, as optimizer"
        )
    if ("schedule" in given) != ("discriminator_schedule" in given):
        raise UserError("schedule, discriminator_schedule: only one side has a schedule; give both or none")
    return AdversarialModule(learner, **given, **options)


def train(
    out: str,
    model: Tree,
    data: Tree,
    optimizer: Tree,
    trainer: Tree,
    schedule: Tree | None = None,
    discriminator_optimizer: Tree | None = None,
    discriminator_schedule: Tree | None = None,
    clip: float | None = None,
    loggers: Tree | None = None,
    measures: Tree | None = None,
    log_every: int = 50,
    init_from: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """One training run; see the module's text."""
    tree = {k: v for k, v in locals().items() if v is not None}
    log_to(f"{out}/train.log")
    datamodule = build({"seed": seed, **data}, at="data")
    if found := check_build(model, at="model", streams=datamodule.streams):
        raise ConfigError(found)
    seed_all(seed)
    learner = build(model, at="model", streams=datamodule.streams)
    parents = made_from(learner, datamodule.streams)
    learner.train()  # what training alone needs is asked for before the run begins
    if init_from is not None:
        if not hasattr(learner, "encoder"):
            raise UserError(
                f"init_from={init_from}: model {type(learner).__name__} has no encoder to begin with; drop it"
            )
        parents.add(start_from(learner.encoder, init_from))
        if getattr(learner, "teacher", None) is not None:
            learner.teacher.copy_student()
    vocab = getattr(learner, "vocab", None)
    makes = {"optimizer": optimizer, "schedule": schedule}
    makes |= {"discriminator_optimizer": discriminator_optimizer, "discriminator_schedule": discriminator_schedule}
    judges = {name: measure(name, node, vocab) for name, node in (measures or {}).items()}
    module = driver(learner, makes, clip=clip, measures=judges, log_every=log_every)
    trackers = [build(node, at=f"loggers.{name}", folder=out) for name, node in (loggers or {}).items()]
    versions = write_provenance(out, tree)
    announce(trackers, tree, versions)
    begin = to_resume(f"{out}/checkpoints")
    facts = {**tree, **datamodule.contents, "versions": {name: versions[name] for name in PACKAGES}}
    same = SameEverywhere({**facts, "a checkpoint": "there" if begin else "not there"})
    lightning = build(trainer, at="trainer", folder=out, loggers=trackers, callbacks=[same])
    lightning.fit(module, datamodule, ckpt_path=begin)
    finished: Any = module.whole()  # every rank: of a sharded model each has a part
    if not lightning.is_global_zero:
        return {}
    facts = {"derived_from": sorted(parents), "steps": module.step}
    names = {kind: store.save(part, f"{out}/{kind}", kind=kind, **facts) for kind, part in finished.artefacts().items()}
    return {**names, "steps": module.step, **{k: round(v, 5) for k, v in module.figures.items()}}


if __name__ == "__main__":
    main(train)
