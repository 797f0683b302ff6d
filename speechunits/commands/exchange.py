"""``speechunits import`` and ``export``: models of others to ours, and ours to theirs."""

from __future__ import annotations

import argparse

from speechunits import store
from speechunits.commands.arguments import Commands, free
from speechunits.errors import UserError


def import_(args: argparse.Namespace) -> None:
    """A model or a codebook of others as a folder of ours.

    SOURCE is a folder of transformers (HubertModel, Wav2Vec2Model, WavLMModel, Data2VecAudioModel), a checkpoint of fairseq,
    weights of torchaudio, a name on the hub (fetched only if it is no path), or centroids: .npy, safetensors, a k-means of
    scikit-learn (--trust-pickle). OUT becomes an encoder or, of centroids, a KMeans; with --encoder and --layer a tokenizer.
    """
    from speechunits.exchange.source import Imported, read
    from speechunits.units.tokenizer import UnitTokenizer

    out, head = free(args.out), args.head and free(args.head)
    if (args.encoder is None) != (args.layer is None) or (args.encoder and head):
        raise UserError(
            "a tokenizer needs --encoder and --layer, and has no --head; give none of them for the codebook alone"
        )
    asked = {k: getattr(args, k) for k in ("heads", "strides", "norm_first", "normalize_audio")}
    if args.encoder is not None:
        made = UnitTokenizer.from_pretrained(args.encoder, args.layer, args.source, args.trust_pickle, **asked)
        name = made.save(out, derived_from=[store.identity(made.features.source)])
        print(f"{out}: tokenizer {name}")
        return
    found = read(args.source, args.trust_pickle, **asked)
    if not isinstance(found, Imported):
        print(f"{out}: quantizer {store.save(found, out, kind='quantizer')}")
        return
    if head is not None and found.head is None:
        raise UserError(f"{args.source}: has no output layer of K codes for --head; leave the option out")
    name = found.save(out)
    print(f"{out}: encoder {name} of {found.kind}")
    if found.left:
        print(f"  without {len(found.left)} weights that have no place here: {', '.join(found.left[:3])}")
    if head is not None:
        print(f"{head}: head {store.save(found.head, head, kind='head', derived_from=[name])}")


def export(args: argparse.Namespace) -> None:
    """An encoder of ours as a folder that transformers loads with the same hidden states."""
    from speechunits.exchange.transformers_folder import write_folder

    print(f"{args.out}: {write_folder(args.encoder, free(args.out))} model of transformers")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def add(commands: Commands) -> None:
    sub = commands.add_parser("import", help="models and codebooks of others to ours", description=import_.__doc__)
    sub.add_argument("source", help="folder, file or name on the hub")
    sub.add_argument("out", help="folder to write; must not exist")
    sub.add_argument("--encoder", help="of centroids: make a tokenizer with this encoder (ours, or anything to import)")
    sub.add_argument("--layer", type=int, help="of centroids: the layer they were fitted on")
    sub.add_argument("--head", help="also save HuBERT's output layer (one row for each code) as this folder")
    sub.add_argument(
        "--trust-pickle", action="store_true", help="let a k-means of scikit-learn run what is in its file"
    )
    sub.add_argument("--heads", type=int, help="of attention, where the source does not tell")
    sub.add_argument(
        "--strides", type=_numbers, help="of the convolutions, e.g. 5,2,2,2,2,2,2, where the source does not tell"
    )
    for name in ("norm-first", "normalize-audio"):
        yes_no = argparse.BooleanOptionalAction
        sub.add_argument(f"--{name}", action=yes_no, default=None, help="where the source does not tell")
    sub.set_defaults(do=import_)

    sub = commands.add_parser("export", help="our encoder to a folder of transformers", description=export.__doc__)
    sub.add_argument("encoder", help="folder of an encoder")
    sub.add_argument("out", help="folder to write; must not exist")
    sub.set_defaults(do=export)
