#!/usr/bin/env bash
# CTC fine-tuning of an encoder on LibriSpeech, beside the same encoder with random weights: word and character error rates.
#   egs/librispeech/finetune/run.sh --corpus-dir LibriSpeech --encoder exp/librispeech-full/hubert_it2/encoder --labels 100h
#   egs/librispeech/finetune/run.sh --corpus-dir LibriSpeech --encoder DIR --labels 10h --librilight librispeech_finetuning
#   egs/librispeech/finetune/run.sh --corpus-dir EXCERPT --encoder DIR --excerpt    a few utterances, two cores, minutes
#   egs/librispeech/finetune/run.sh --corpus-dir EXCERPT --encoder DIR --toy        every stage once, in a minute
# --labels 10min, 1h, 10h (these need --librilight), 100h (the default) or 960h; --tuning lora, adapters, prefix, biases or
# frozen (conf/tuning) instead of training all but the frontend.
# Options: --stage N --stop-stage M (0 to 3), --exp DIR, and any key=value for the trainings (trainer.devices=2
# data.accumulate=4 seed=1). Every stage is taken up where it stopped; delete its folder to make it anew.

name=librispeech-finetune stages=3 size=full corpus= encoder= labels=100h librilight= tuning=
option() {
  case $1 in
    --excerpt|--toy) size=${1#--} shifted=1 ;;
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoder=$(place "$2") shifted=2 ;;
    --librilight) [ -n "${2:-}" ] || die "--librilight takes a folder"; librilight=$(place "$2") shifted=2 ;;
    --labels) [[ ${2:-} =~ ^(10min|1h|10h|100h|960h)$ ]] || die "--labels takes 10min, 1h, 10h, 100h or 960h"; labels=$2 shifted=2 ;;
    --tuning) [ -f "conf/tuning/${2:-}.yaml" ] || die "--tuning takes the name of a file in conf/tuning"; tuning=$2 shifted=2 ;;
    *) return 1 ;;
  esac
}
cd "$(dirname "$0")/../../.." && . tools/stages.sh
begin "$@"
here=egs/librispeech/finetune
. $here/$size.sh
exp=${exp:-exp/librispeech-finetune-$suffix${tuning:+-$tuning}}
data=$exp/data
[ "$first" -gt 2 ] || [ "$last" -lt 2 ] || [ -n "$encoder" ] || die "--encoder DIR is needed: a folder that recipes.train saved"

# finetune OUT ENCODER
finetune() {
  recipe train "${configs[@]}" ${tuning:+conf/tuning/$tuning.yaml} out="$1" model.encoder.folder="$2" \
    data.fields.text.tokenizer.folder="$exp/text/text" data.train="$data/cuts_train.jsonl.gz" \
    data.valid="$data/cuts_$valid.jsonl.gz" "${overrides[@]}"
}

if stage 0 "transcribed cuts"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: LibriSpeech, or an excerpt with index.tsv"
  [ -f "$data/.done" ] || {
    python egs/librispeech/hubert/local/prepare.py --corpus-dir "$corpus" --out "$data/all"
    python $here/local/transcribed.py --cuts "$data/all" --out "$data" "${select[@]}"
  }
  touch "$data/.done"
  done_stage
fi
if stage 1 "text tokenizer"; then
  all=("$data"/cuts_*.jsonl.gz)  # the alphabet of every split: a few utterances lack letters of it
  recipe fit_text conf/text/characters.yaml out="$exp/text" cuts="[$(IFS=,; echo "${all[*]}")]"
  done_stage
fi
if stage 2 "fine-tune the encoder, and random weights in its place"; then
  [ -d "$exp/untrained" ] || python $here/local/untrained.py "$encoder" "$exp/untrained" 0
  finetune "$exp/trained" "$encoder"
  finetune "$exp/random" "$exp/untrained"
  done_stage
fi
if stage 3 "recognise and score"; then
  cuts=()
  for split in "${scored[@]}"; do cuts+=("cuts.$split=$data/cuts_$split.jsonl.gz"); done
  recipe recognise out="$exp/recognised" systems.trained="$exp/trained/recogniser" systems.random="$exp/random/recogniser" \
    "${cuts[@]}" "${gpu[@]}"
  cp "$exp/recognised/results.json" "$exp/results.json"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $exp/results.json"
fi
