"""Train a model: python -m recipes.train SYSTEM.yaml [SIZE.yaml ...] out=exp/run data.train=... trainer.max_steps=...

Writes into ``out``: the resolved configuration, versions, log, figures (``metrics.csv``), ``checkpoints/`` and, at the
end, the trained ``encoder/`` as an artefact. Run again after an interruption, it goes on where it stopped, bit for bit.
``init_from`` starts a new run from the weights of an encoder folder (new optimizer, schedule and data position).
"""

from __future__ import annotations

from typing import Any

from speechunits import store
from speechunits.config import build, check_build
from speechunits.part import ConfigError, Tree
from speechunits.recipe import log_to, main
from speechunits.train.checkpoint import newest_whole
from speechunits.train.loggers import announce
from speechunits.train.module import TrainModule
from speechunits.train.provenance import write_provenance
from speechunits.train.random_state import seed_all


def train(
    out: str,
    model: Tree,
    data: Tree,
    optimizer: Tree,
    trainer: Tree,
    schedule: Tree | None = None,
    clip: float | None = None,
    loggers: Tree | None = None,
    measures: Tree | None = None,
    log_every: int = 50,
    init_from: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """One training run; see the module's text."""
    log_to(f"{out}/train.log")
    datamodule = build({"seed": seed, **data})
    if found := check_build(model, streams=datamodule.streams):
        raise ConfigError(found)
    seed_all(seed)
    learner = build(model, streams=datamodule.streams)
    if init_from is not None:
        learner.encoder.load_state_dict(store.restore(init_from).state_dict(), strict=False)
    module = TrainModule(
        learner,
        build(optimizer),
        None if schedule is None else build(schedule),
        clip,
        {name: build(node) for name, node in (measures or {}).items()},
        log_every=log_every,
    )
    trackers = [build(node, folder=out) for node in (loggers or {}).values()]
    tree = {
        "model": model,
        "data": data,
        "optimizer": optimizer,
        "schedule": schedule,
        "trainer": trainer,
        "seed": seed,
    }
    announce(trackers, tree, write_provenance(out, tree))
    lightning = build(trainer, folder=out, loggers=trackers)
    lightning.fit(module, datamodule, ckpt_path=newest_whole(f"{out}/checkpoints"))
    if lightning.is_global_zero:
        parents = sorted({stream.fingerprint for stream in datamodule.streams.values()})
        name = store.save(learner.encoder, f"{out}/encoder", derived_from=parents, kind="encoder", steps=module.step)
        return {"encoder": name, "steps": module.step, **{k: round(v, 5) for k, v in module.figures.items()}}
    return {}


if __name__ == "__main__":
    main(train)
