#!/usr/bin/env bash
# One iteration of self-training: a recogniser of a tenth of the transcripts labels the rest, and another learns from both.
#   egs/demo/self_training.sh                       after egs/demo/run.sh          -> exp/demo/self_training/results.json
#   egs/demo/self_training.sh --exp exp/demo-quick --steps 60
#   egs/demo/self_training.sh --share 0.05 --min-confidence 0.9 --keep 0.5
# Options: --stage N --stop-stage M (0 to 4), and any key=value for both trainings (seed=1).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=demo-self-training stages=4 exp=exp/demo steps=400 share=0.1 sure=0.7 keep=0.9
option() {
  [ -n "${2:-}" ] || die "$1 takes a number"
  case $1 in
    --steps) steps=$2 ;; --share) share=$2 ;; --min-confidence) sure=$2 ;; --keep) keep=$2 ;;
    *) return 1 ;;
  esac
  shifted=2
}
cd "$(dirname "$0")/../.." && . tools/stages.sh
begin "$@"
out=$exp/self_training asr=$exp/asr
[ -d "$asr/units_bpe/asr" ] || die "$asr/units_bpe/asr is not there: run egs/demo/run.sh to its stage 9, or give its --exp"

# recogniser OUT TRAIN ...: of subwords of units, as the one of run.sh that has all transcripts
recogniser() {
  recipe train egs/demo/asr/units_bpe.yaml out="$1" "$2" data.valid="$exp/units/valid.jsonl.gz" \
    data.fields.text.tokenizer.folder="$asr/text/text" data.fields.units.steps.subwords.folder="$asr/subwords/subwords" \
    trainer.max_steps="$steps" schedule.warmup=$((steps / 10)) schedule.hold=$((steps * 6 / 10)) \
    schedule.decay=$((steps * 3 / 10)) "${@:3}" "${overrides[@]}"
}

if stage 0 "transcripts of $share of the training speech; the others are put away"; then
  python egs/demo/local/put_away.py "$exp/units/train.jsonl.gz" "$out/cuts" "$share"
  done_stage
fi
if stage 1 "a recogniser of these"; then
  recogniser "$out/first" data.train="$out/cuts/transcribed.jsonl.gz"
  done_stage
fi
if stage 2 "its text for the rest, where it is sure"; then
  recipe pseudo_label out="$out/labels" recogniser="$out/first/asr" cuts="$out/cuts/untranscribed.jsonl.gz" \
    min_confidence="$sure" keep="$keep"
  done_stage
fi
if stage 3 "another recogniser, of both"; then
  recogniser "$out/second" "data.train={real: $out/cuts/transcribed.jsonl.gz, pseudo: $out/labels/cuts.jsonl.gz}" \
    data.mixture._target_=speechunits.data.mixture.Mixture data.mixture.weights.real=2
  done_stage
fi
if stage 4 "score both, and the one of all transcripts, on unseen speakers and sentences"; then
  recipe recognise out="$out/recognised" resample=speakers systems.first="$out/first/asr" systems.second="$out/second/asr" \
    systems.all="$asr/units_bpe/asr" cuts.test="$exp/units/test.jsonl.gz"
  cp "$out/recognised/results.json" "$out/results.json"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $out/results.json"
fi
