"""``speechunits``: use finished models.

``encode`` audio to units, ``transcribe`` it to text, ``info`` about an artefact, ``import`` and ``export`` models of others,
``run`` a recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pkgutil
import runpy
import sys
from pathlib import Path

from speechunits import __version__, store
from speechunits.config import dump
from speechunits.errors import UserError
from speechunits.protocols import Recognises
from speechunits.recipe import exit_codes, usable_device


def encode(args: argparse.Namespace) -> None:
    """One JSON line per file: units (and durations), hop, vocabulary, fingerprint. Bad files are listed at the end."""
    import torch

    from speechunits.data.read_audio import read_audio
    from speechunits.units.dedup import Dedup
    from speechunits.units.tokenizer import UnitTokenizer

    device = usable_device(args.device)
    if args.out:
        store.check_place(args.out)  # before hours of work
    tokenizer = UnitTokenizer.load(args.tokenizer, device)
    shrink = Dedup() if args.dedup else None
    lines, bad = [], []
    for path in args.audio:
        try:
            with torch.inference_mode():
                units = tokenizer.encode(read_audio(path).to(device))
        except UserError as error:
            bad.append(str(error))
            continue
        if not int(units.ids.lengths[0]):
            bad.append(f"{path}: too short for one unit; leave it out")
            continue
        units = shrink(units) if shrink is not None and units.durations is None else units
        line = {"audio": str(path), "units": units.lists()[0]}
        if units.durations is not None:
            line["durations"] = units.durations.data[0, : units.durations.lengths[0]].tolist()
        hop = units.ids.hop or (units.durations.hop if units.durations is not None else None)
        line |= {"hop": str(hop), "vocab": list(units.vocab), "fingerprint": units.fingerprint}
        lines.append(json.dumps(line) + "\n")
        if not args.out:
            print(lines.pop(), end="", flush=True)
    if lines:
        store.write_text(args.out, "".join(lines))
    if bad:
        raise UserError(f"{len(bad)} of {len(args.audio)} files could not be encoded: " + "; ".join(bad))


def transcribe(args: argparse.Namespace) -> None:
    """What is said in audio files of any length, as text, subtitles with times, or JSON with the times of every word.

    MODEL is the asr/ or recogniser/ folder of a training. A model of units needs the --tokenizer that made them, and
    --subwords where they were joined; one of stored features needs the --features that were stored. Long files are heard in
    overlapping windows. Files that cannot be read are listed at the end; with --out DIR each file's text is written there as
    NAME.FORMAT. With --live, AUDIO is - and raw 16-bit little-endian mono PCM from standard input becomes words as they come:
    arecord -t raw -f S16_LE -r 16000 | speechunits transcribe asr/ - --live
    """
    from speechunits.config import load
    from speechunits.data.audio_windows import audio_windows
    from speechunits.tasks.listening import Listening
    from speechunits.tasks.recognition import System
    from speechunits.tasks.subtitles import FORMATS, as_json
    from speechunits.tasks.transcriber import Transcriber
    from speechunits.units.features import Features
    from speechunits.units.tokenizer import UnitTokenizer

    device = usable_device(args.device)
    places = [Path(args.out) / f"{Path(path).stem}.{args.format}" for path in args.audio] if args.out else []
    if len(set(places)) < len(places):
        raise UserError("two of the files have one name, so they would be written to one place; transcribe them apart")
    for place in places:
        store.check_place(place)  # before hours of work
    search = (load(args.search).get("model") or {}).get("search") if args.search else None
    if args.search and not search:
        raise UserError(f"{args.search}: has no model.search; give a file such as conf/search/ctc_beam.yaml")
    horizon = {name: value for name in ("chunk", "left") if (value := getattr(args, name)) is not None}
    model = System(args.model).restore(device, search, {"encoder": horizon} if horizon else None)
    if args.live:
        _live(args, model)
        return
    tokenizer = UnitTokenizer.load(args.tokenizer, device) if args.tokenizer else None
    features = store.restore(args.features, device, Features) if args.features else None
    listen = Listening(model, tokenizer, [store.restore(folder) for folder in args.subwords], features)
    transcribe_windows = Transcriber(model, listen)
    bad = []
    for i, path in enumerate(args.audio):
        try:
            windows = audio_windows(path, seconds=args.window, overlap=args.overlap)
            said = list(transcribe_windows((w.start, w.audio.to(device), w.last) for w in windows))
        except UserError as error:
            bad.append(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            continue
        text = as_json(said, str(path)) if args.format == "json" else FORMATS[args.format](said)
        if places:
            store.write_text(places[i], text)
        else:
            print(text, end="", flush=True)
    if bad:
        raise UserError(f"{len(bad)} of {len(args.audio)} files could not be transcribed: " + "; ".join(bad))


def _live(args: argparse.Namespace, model: Recognises) -> None:
    from speechunits.data.pcm import pcm_blocks
    from speechunits.tasks.live import Live

    if args.audio != ["-"] or args.format != "txt" or args.out:
        raise UserError(
            "--live hears standard input and writes to the terminal: give - as AUDIO, no --format and no --out"
        )
    live = Live(model)
    if args.rate * live.rate != 1:
        raise UserError(
            f"--rate {args.rate}: the model hears {1 / live.rate} Hz; let sox or ffmpeg resample before the pipe"
        )
    with contextlib.suppress(KeyboardInterrupt):  # how one ends a microphone
        for block in pcm_blocks(sys.stdin.buffer):
            print("".join(f"{word.text} " for word in live.feed(block)), end="", flush=True)
    print(" ".join(word.text for word in live.finish()), flush=True)


def info(args: argparse.Namespace) -> None:
    """What an artefact is, from its meta.json and config.yaml; weights are not read."""
    meta, node = store.read_meta(args.folder), store.read_node(args.folder)
    print(f"{args.folder}: {meta.get('kind', 'artefact')} {meta['fingerprint']}")
    for key, value in meta.items():
        if key not in ("fingerprint", "kind", "config_sha256", "weights_sha256"):
            print(f"  {key}: {value}")
    print(dump(node), end="")


def _free(path: str) -> Path:
    if Path(path).exists():
        raise UserError(f"{path}: exists already; choose another place, or delete it first")
    store.check_place(path)
    return Path(path)


def import_(args: argparse.Namespace) -> None:
    """A model or a codebook of others as a folder of ours.

    SOURCE is a folder of transformers (HubertModel, Wav2Vec2Model, WavLMModel, Data2VecAudioModel), a checkpoint of fairseq,
    weights of torchaudio, a name on the hub (fetched only if it is no path), or centroids: .npy, safetensors, a k-means of
    scikit-learn (--trust-pickle). OUT becomes an encoder or, of centroids, a KMeans; with --encoder and --layer a tokenizer.
    """
    from speechunits.exchange.source import Imported, read
    from speechunits.units.tokenizer import UnitTokenizer

    out, head = _free(args.out), args.head and _free(args.head)
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

    print(f"{args.out}: {write_folder(args.encoder, _free(args.out))} model of transformers")


def recipes() -> list[str]:
    """Names of the recipes at hand."""
    import recipes as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__))


def run(args: argparse.Namespace) -> None:
    """``speechunits run train ...`` is ``python -m recipes.train ...``."""
    if args.recipe not in recipes():
        raise UserError(f"there is no recipe '{args.recipe}'; there are: {', '.join(recipes())}")
    sys.argv = [f"recipes.{args.recipe}", *args.arguments]
    runpy.run_module(f"recipes.{args.recipe}", run_name="__main__", alter_sys=True)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="speechunits", description="Self-supervised discrete speech units.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("encode", help="audio files to units, one JSON line per file", description=encode.__doc__)
    sub.add_argument("tokenizer", help="folder of a UnitTokenizer")
    sub.add_argument("audio", nargs="+", help="audio files of any length and sample rate")
    sub.add_argument("-o", "--out", help="write here instead of to the terminal")
    sub.add_argument("--dedup", action="store_true", help="merge runs of equal units and give their durations")
    sub.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    sub.set_defaults(do=encode)

    sub = commands.add_parser("transcribe", help="audio files to text or subtitles", description=transcribe.__doc__)
    sub.add_argument("model", help="folder of a recogniser")
    sub.add_argument("audio", nargs="+", help="audio files of any length and sample rate")
    sub.add_argument("--format", choices=["txt", "srt", "vtt", "json"], default="txt")
    sub.add_argument("-o", "--out", help="folder for NAME.FORMAT of each file; else to the terminal")
    sub.add_argument("--tokenizer", help="folder of the UnitTokenizer, where the model reads units")
    sub.add_argument("--subwords", action="append", default=[], help="folder of subwords of units (fit_unit_bpe)")
    sub.add_argument("--features", help="folder features/ of extract_features, where the model reads stored features")
    sub.add_argument("--search", help="YAML of another search (conf/search), which may include a language model")
    sub.add_argument("--live", action="store_true", help="hear standard input (AUDIO is -), print words as they come")
    sub.add_argument("--rate", type=int, default=16000, help="of standard input, Hz")
    sub.add_argument("--chunk", type=int, help="frames that the encoder hears at once, in place of the saved ones")
    sub.add_argument("--left", type=int, help="frames before a chunk that it hears, in place of the saved ones")
    sub.add_argument("--window", type=float, default=30.0, help="seconds that are heard at once")
    sub.add_argument("--overlap", type=float, default=5.0, help="seconds that a window shares with the next")
    sub.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    sub.set_defaults(do=transcribe)

    sub = commands.add_parser("info", help="what a folder holds", description=info.__doc__)
    sub.add_argument("folder", help="folder of an encoder or a tokenizer")
    sub.set_defaults(do=info)

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

    sub = commands.add_parser("run", help="run a recipe with YAML files and key=value", description=run.__doc__)
    sub.add_argument("recipe", help=f"one of: {', '.join(recipes())}")
    sub.add_argument("arguments", nargs=argparse.REMAINDER, help="system.yaml key=value ...")
    sub.set_defaults(do=run)
    return top


def main() -> None:
    """Entry point of the ``speechunits`` command."""
    args = parser().parse_args()
    with exit_codes():
        args.do(args)


if __name__ == "__main__":
    main()
