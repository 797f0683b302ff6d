#!/usr/bin/env bash
# A speaker encoder on LibriSpeech: who speaks, as one vector; trained on some speakers, verified on others.
#   egs/librispeech/speakers/run.sh --corpus-dir LibriSpeech        960 hours; see README.md
#   egs/librispeech/speakers/run.sh --corpus-dir EXCERPT --excerpt   a small model, one utterance of each speaker, minutes
#   egs/librispeech/speakers/run.sh --corpus-dir EXCERPT --toy       every stage once
#   ... --encoder exp/librispeech-excerpt/hubert_it2/encoder        over the layers of a trained encoder, which stays as it is
#   ... --loss contrastive                                          parts of utterances against each other, no classes
# Options: --stage N --stop-stage M (0 to 3), --exp DIR, and any key=value for the training (optimizer.lr=0.001).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=librispeech-speakers stages=3 size=full corpus= encoder= loss=
option() {
  case $1 in
    --excerpt|--toy) size=${1#--} shifted=1 ;;
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoder=$(place "$2") shifted=2 ;;
    --loss) [[ ${2:-} =~ ^(classes|contrastive)$ ]] || die "--loss takes classes or contrastive"; loss=$2 shifted=2 ;;
    *) return 1 ;;
  esac
}
cd "$(dirname "$0")/../../.." && . tools/stages.sh
begin "$@"
here=egs/librispeech/speakers
. $here/$size.sh
exp=${exp:-exp/librispeech-speakers-$size}
data=$exp/data
run=trained${encoder:+-features}${loss:+-$loss}
[ -z "$encoder" ] || configs+=(conf/speaker/features.yaml model.speaker_encoder.input.encoder.folder="$encoder")
if [ "$loss" = contrastive ]; then configs+=(conf/speaker/contrastive.yaml)
else configs+=(model.losses.speaker.names.folder="$exp/names/names"); fi

if stage 0 "cuts of training speakers and of others"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: LibriSpeech, or an excerpt with index.tsv"
  [ -f "$data/.done" ] || {
    python egs/librispeech/hubert/local/prepare.py --corpus-dir "$corpus" --out "$data/all" "${prepare[@]}"
    python $here/local/speakers.py --cuts "$data/all" --out "$data" "${pieces[@]}"
  }
  touch "$data/.done"
  done_stage
fi
if stage 1 "names of the training speakers"; then
  recipe list_names out="$exp/names" cuts="$data/cuts_train.jsonl.gz"
  done_stage
fi
if stage 2 "train"; then
  recipe train conf/system/speaker_encoder.yaml "${configs[@]}" out="$exp/$run" data.train="$data/cuts_train.jsonl.gz" \
    data.valid="$data/cuts_valid.jsonl.gz" trainer.max_steps=$steps schedule.total=$steps schedule.warmup=$((steps / 20)) \
    "${overrides[@]}"
  done_stage
fi
if stage 3 "verify speakers that it has not heard"; then
  [ -d "$exp/$run-random" ] || python $here/local/untrained.py "$exp/$run/speaker_encoder" "$exp/$run-random"
  recipe verify_speakers out="$exp/verified-$run" systems.trained="$exp/$run/speaker_encoder" systems.random="$exp/$run-random" \
    cuts.test="$data/cuts_trials.jsonl.gz" "${gpu[@]}"
  cp "$exp/verified-$run/results.json" "$exp/results-$run.json"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $exp/results-$run.json"
fi
