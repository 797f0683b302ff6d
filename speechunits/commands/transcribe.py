"""``speechunits transcribe``: audio files, or a microphone, to text."""

from __future__ import annotations

import argparse
import contextlib
import sys

from speechunits import store
from speechunits.commands.arguments import Commands, add_audio, add_device, places, report
from speechunits.errors import UserError
from speechunits.protocols import Recognises
from speechunits.recipe import usable_device


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
    texts = places(args.out, args.audio, args.format) if args.out else []
    search = (load(args.search).get("model") or {}).get("search") if args.search else None
    if args.search and not search:
        raise UserError(f"{args.search}: has no model.search; give a file such as conf/search/ctc_beam.yaml")
    horizon = {name: value for name in ("chunk", "left") if (value := getattr(args, name)) is not None}
    model = System(args.model).restore(device, search, {"encoder": horizon} if horizon else None)
    if args.live:
        _live(args, model)
        return
    tokenizer = UnitTokenizer.load(args.tokenizer, device) if args.tokenizer else None
    features = [store.restore(folder, device, Features) for folder in args.features]
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
        if texts:
            store.write_text(texts[i], text)
        else:
            print(text, end="", flush=True)
    report(bad, len(args.audio), "transcribed")


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


def add(commands: Commands) -> None:
    sub = commands.add_parser("transcribe", help="audio files to text or subtitles", description=transcribe.__doc__)
    sub.add_argument("model", help="folder of a recogniser")
    add_audio(sub)
    sub.add_argument("--format", choices=["txt", "srt", "vtt", "json"], default="txt")
    sub.add_argument("-o", "--out", help="folder for NAME.FORMAT of each file; else to the terminal")
    sub.add_argument("--tokenizer", help="folder of the UnitTokenizer, where the model reads units")
    sub.add_argument("--subwords", action="append", default=[], help="folder of subwords of units (fit_unit_bpe)")
    sub.add_argument(
        "--features", action="append", default=[], help="folder features/ of extract_features, of stored features"
    )
    sub.add_argument("--search", help="YAML of another search (conf/search), which may include a language model")
    sub.add_argument("--live", action="store_true", help="hear standard input (AUDIO is -), print words as they come")
    sub.add_argument("--rate", type=int, default=16000, help="of standard input, Hz")
    sub.add_argument("--chunk", type=int, help="frames that the encoder hears at once, in place of the saved ones")
    sub.add_argument("--left", type=int, help="frames before a chunk that it hears, in place of the saved ones")
    sub.add_argument("--window", type=float, default=30.0, help="seconds that are heard at once")
    sub.add_argument("--overlap", type=float, default=5.0, help="seconds that a window shares with the next")
    add_device(sub)
    sub.set_defaults(do=transcribe)
