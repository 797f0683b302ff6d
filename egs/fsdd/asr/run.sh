#!/usr/bin/env bash
# Digits of speakers that neither tokenizer nor recogniser has heard, from units and from filterbanks: accuracy over three seeds.
#   egs/fsdd/asr/run.sh --corpus-dir DIR                         units are clusters of MFCC
#   egs/fsdd/asr/run.sh --corpus-dir DIR --encoder exp/librispeech-excerpt/hubert_it2/encoder    of an encoder's layer 2
#   egs/fsdd/asr/run.sh --corpus-dir DIR --encoder DIR --layer 3
#   egs/fsdd/asr/run.sh --corpus-dir DIR --toy                   every stage once
# DIR is a copy of https://github.com/Jakobovski/free-spoken-digit-dataset (the folder that holds recordings/).
# --fold 0, 1 or 2 and --seed N do one of the three folds, or one seed, alone; --steps N trains for N updates in place of 500.
# Options: --stage N --stop-stage M (0 to 3), --exp DIR, and any key=value for the trainings (optimizer.lr=0.001).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=fsdd-asr stages=3 corpus= encoder= layer=2 clusters=100 folds=(0 1 2) seeds=(0 1 2) steps=500 toy= exp=
option() {
  case $1 in
    --toy) toy=1 folds=(0) seeds=(0) steps=4 clusters=20 shifted=1 ;;
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoder=$(place "$2") shifted=2 ;;
    --layer) [[ ${2:-} =~ ^[0-9]+$ ]] || die "--layer takes a number from 0"; layer=$2 shifted=2 ;;
    --fold) [[ ${2:-} =~ ^[0-2]$ ]] || die "--fold takes 0, 1 or 2"; folds=("$2") shifted=2 ;;
    --steps) [[ ${2:-} =~ ^[0-9]+$ ]] || die "--steps takes a number"; steps=$2 shifted=2 ;;
    --seed) [[ ${2:-} =~ ^[0-9]+$ ]] || die "--seed takes a number from 0"; seeds=("$2") shifted=2 ;;
    *) return 1 ;;
  esac
}
cd "$(dirname "$0")/../../.." && . tools/stages.sh
begin "$@"
here=egs/fsdd/asr
exp=${exp:-exp/fsdd-asr${encoder:+-encoder}${toy:+-toy}}
features=(conf/units/kmeans.yaml features.source.folder="$encoder" features.read=layer:$layer)
[ -n "$encoder" ] || features=(egs/fsdd/asr/mfcc.yaml)

# asr INPUT OUT FOLD SEED TRAIN VALID: one training
asr() {
  recipe train $here/$1.yaml out="$2" seed=$4 data.train="$5" data.valid="$6" \
    data.fields.text.tokenizer.folder="$exp/fold$3/text/text" trainer.max_steps=$steps \
    schedule.warmup=$((steps / 10)) schedule.hold=$((steps * 6 / 10)) schedule.decay=$((steps * 3 / 10)) "${overrides[@]}"
}

if stage 0 "digits as cuts, in three folds of two test speakers"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: the folder that holds recordings/"
  [ -f "$exp/data/digits.jsonl.gz" ] || python egs/fsdd/local/prepare.py "$corpus" "$exp/data/digits.jsonl.gz"
  python $here/local/folds.py "$exp/data/digits.jsonl.gz" "$exp/data"
  done_stage
fi
if stage 1 "tokenizers of each fold's training speakers, and their units"; then
  for fold in "${folds[@]}"; do
    data=$exp/data/fold$fold
    recipe fit_units "${features[@]}" out="$exp/fold$fold/km" cuts="$data/train.jsonl.gz" fitter.size=$clusters
    recipe extract_units out="$exp/fold$fold/units" tokenizer="$exp/fold$fold/km/tokenizer" \
      $(for split in train valid test; do echo "cuts.$split=$data/$split.jsonl.gz"; done)
    recipe fit_text conf/text/words.yaml out="$exp/fold$fold/text" cuts="$data/train.jsonl.gz"
  done
  done_stage
fi
if stage 2 "recognisers of units and of filterbanks"; then
  for fold in "${folds[@]}"; do
    for seed in "${seeds[@]}"; do
      asr units "$exp/fold$fold/units-$seed" $fold $seed "$exp/fold$fold/units/train.jsonl.gz" "$exp/fold$fold/units/valid.jsonl.gz"
      asr fbank "$exp/fold$fold/fbank-$seed" $fold $seed "$exp/data/fold$fold/train.jsonl.gz" "$exp/data/fold$fold/valid.jsonl.gz"
    done
  done
  done_stage
fi
if stage 3 "recognise unseen speakers"; then
  scored=()
  for fold in "${folds[@]}"; do
    for seed in "${seeds[@]}"; do
      out=$exp/fold$fold/recognised-$seed
      recipe recognise out="$out" $(for split in valid test; do
        for input in units fbank; do echo "systems.$input.folder=$exp/fold$fold/$input-$seed/asr"; done
        echo "systems.units.cuts.$split=$exp/fold$fold/units/$split.jsonl.gz systems.fbank.cuts.$split=$exp/data/fold$fold/$split.jsonl.gz"
      done)
      scored+=("$fold:$seed:$out/results.json")
    done
  done
  python $here/local/accuracy.py "$exp/results.json" "${scored[@]}"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $exp/results.json"
fi
