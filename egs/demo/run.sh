#!/usr/bin/env bash
# The whole job on a synthesised corpus: corpus, MFCC units, HuBERT twice, units, DinoSR, measures, recognition, report.
#   egs/demo/run.sh            29 minutes on two cores              -> exp/demo/report.html
#   egs/demo/run.sh --quick    six minutes; smaller corpus              -> exp/demo-quick/report.html
#   egs/demo/run.sh --long     hours, the better figures             -> exp/demo-long/report.html
# Options: --stage N --stop-stage M (0 to 10), --exp DIR, and any key=value for the three pre-trainings (optimizer.lr=1e-3).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=demo stages=10 size=default
option() { case $1 in --quick|--long) size=${1#--} shifted=1 ;; *) return 1 ;; esac; }
cd "$(dirname "$0")/../.." && . tools/stages.sh
begin "$@"
here=egs/demo
suffix=${size/default/}
exp=${exp:-exp/demo${suffix:+-$suffix}}
corpus=$exp/corpus more=() measure=() ranks=2
. "$here/$size.sh"

# pretrain SYSTEM OUT TRAIN VALID STEPS ...: any system of conf/system at the demo's size. An update is two batches, one for each of
# two processes with half of the cores: small models gain more from a second process than from a second thread.
pretrain() {
  local two=()
  if [ -z "${LAUNCH:-}" ] && [ $ranks = 2 ] && [ "$(getconf _NPROCESSORS_ONLN)" -ge 2 ]; then
    two=(trainer.devices=2 data.accumulate=1)
    local -x OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(($(getconf _NPROCESSORS_ONLN) / 2))}
  fi
  recipe train "conf/system/$1.yaml" conf/size/demo.yaml $here/train.yaml "${more[@]}" "${two[@]}" out="$2" \
    data.train="$3" data.valid="$4" trainer.max_steps="$5" "${@:6}" "${overrides[@]}"
}

# asr INPUT: a recogniser of the words, from any input
asr() {
  local given=()
  [ "$1" != units_bpe ] || given=(data.fields.units.steps.subwords.folder="$exp/asr/subwords/subwords")
  recipe train "$here/asr/$1.yaml" out="$exp/asr/$1" data.train="$exp/asr/cuts/train.jsonl.gz" \
    data.valid="$exp/asr/cuts/valid.jsonl.gz" data.fields.text.tokenizer.folder="$exp/asr/text/text" trainer.max_steps=$steps_asr \
    schedule.warmup=$((steps_asr / 10)) schedule.hold=$((steps_asr * 6 / 10)) schedule.decay=$((steps_asr * 3 / 10)) "${given[@]}"
}

if stage 0 "synthesise the corpus"; then
  recipe make_demo_corpus out="$corpus" preset=$preset
  done_stage
fi
if stage 1 "k-means on MFCC"; then
  recipe fit_units $here/mfcc.yaml out="$exp/km_mfcc" cuts="$corpus/speech/cuts_train_en.jsonl.gz"
  done_stage
fi
if stage 2 "MFCC units of the training and validation speech"; then
  recipe extract_units out="$exp/units_mfcc" tokenizer="$exp/km_mfcc/tokenizer" \
    cuts.train="$corpus/speech/cuts_train_en.jsonl.gz" cuts.valid="$corpus/speech/cuts_valid_en.jsonl.gz"
  done_stage
fi
if stage 3 "HuBERT, first iteration, on MFCC units"; then
  pretrain hubert_base "$exp/hubert_it1" "$exp/units_mfcc/train.jsonl.gz" "$exp/units_mfcc/valid.jsonl.gz" $steps1 schedule.total=$steps1
  done_stage
fi
if stage 4 "k-means on layer $layer of the first iteration, and its units"; then
  recipe fit_units $here/hubert_units.yaml out="$exp/km_it1" cuts="$corpus/speech/cuts_train_en.jsonl.gz" \
    features.source.folder="$exp/hubert_it1/encoder" features.read=layer:$layer fitter.size=$clusters
  recipe extract_units out="$exp/units_it1" tokenizer="$exp/km_it1/tokenizer" \
    cuts.train="$corpus/speech/cuts_train_en.jsonl.gz" cuts.valid="$corpus/speech/cuts_valid_en.jsonl.gz"
  done_stage
fi
if stage 5 "HuBERT, second iteration, on those units"; then
  pretrain hubert_base "$exp/hubert_it2" "$exp/units_it1/train.jsonl.gz" "$exp/units_it1/valid.jsonl.gz" $steps2 schedule.total=$steps2
  done_stage
fi
if stage 6 "units of the second iteration for every split"; then
  recipe fit_units $here/hubert_units.yaml out="$exp/km_it2" cuts="$corpus/speech/cuts_train_en.jsonl.gz" \
    features.source.folder="$exp/hubert_it2/encoder" features.read=layer:$layer
  recipe extract_units out="$exp/units" tokenizer="$exp/km_it2/tokenizer" cuts.train="$corpus/speech/cuts_train_en.jsonl.gz" \
    cuts.valid="$corpus/speech/cuts_valid_en.jsonl.gz" cuts.test="$corpus/speech/cuts_test_en.jsonl.gz" \
    cuts.test_seen="$corpus/speech/cuts_test_seen_en.jsonl.gz" cuts.pairs="$corpus/speech/cuts_pairs_en.jsonl.gz" \
    cuts.pairs_seen="$corpus/speech/cuts_pairs_seen_en.jsonl.gz"
  done_stage
fi
if stage 7 "DinoSR, which needs no units to begin with"; then
  pretrain dinosr_base "$exp/dinosr" "$corpus/speech/cuts_train_en.jsonl.gz" "$corpus/speech/cuts_valid_en.jsonl.gz" \
    $steps_dinosr conf/size/demo_dinosr.yaml schedule.hold=$((steps_dinosr * 47 / 100)) schedule.decay=$((steps_dinosr / 2))
  done_stage
fi
if stage 8 "measure MFCC, random weights and all trained systems on unseen speakers"; then
  recipe evaluate $here/evaluate.yaml "${measure[@]}" out="$exp/evaluation" symbols="$corpus/phones.json" \
    data.fit="$corpus/speech/cuts_train_en.jsonl.gz" data.valid="$corpus/speech/cuts_valid_en.jsonl.gz" data.test="$corpus/speech/cuts_test_en.jsonl.gz" \
    systems.random.source.folder="$exp/hubert_it1/encoder" \
    systems.hubert_it1.source.folder="$exp/hubert_it1/encoder" systems.hubert_it2.source.folder="$exp/hubert_it2/encoder" \
    systems.dinosr.source.folder="$exp/dinosr/encoder"
  done_stage
fi
if stage 9 "recognisers that hear units, subwords of units, filterbanks and features"; then
  beside text recipe fit_text "${text[@]}" out="$exp/asr/text" cuts="$corpus/speech/cuts_train_en.jsonl.gz"
  beside subwords recipe fit_unit_bpe conf/units/bpe.yaml out="$exp/asr/subwords" cuts="$exp/units/train.jsonl.gz" subwords.size=$subwords
  recipe extract_features conf/features/layer.yaml out="$exp/asr/cuts" features.source.folder="$exp/hubert_it2/encoder" \
    features.read=layer:$layer $(for split in train valid test test_seen pairs pairs_seen; do echo "cuts.$split=$exp/units/$split.jsonl.gz"; done)
  together
  for ((i = 0; i < ${#inputs[@]}; i += 2)); do # two at a time: small models gain little from a second core
    for input in "${inputs[@]:i:2}"; do beside "$input" asr "$input"; done
    together
  done
  recipe recognise out="$exp/asr/recognised" resample=speakers constant=true \
    $(for input in "${inputs[@]}"; do echo "systems.$input=$exp/asr/$input/asr"; done) \
    $(for split in test test_seen pairs pairs_seen; do echo "cuts.$split=$exp/asr/cuts/$split.jsonl.gz"; done)
  done_stage
fi
if stage 10 "report"; then
  recognisers=$(printf 'asr/%s,' "${inputs[@]}")
  recipe report $here/report.yaml out="$exp/report" exp="$exp" \
    "stages=[corpus,km_mfcc,units_mfcc,hubert_it1,km_it1,units_it1,hubert_it2,km_it2,units,dinosr,evaluation,asr/text,asr/subwords,asr/cuts,${recognisers}asr/recognised]"
  done_stage
  echo "$name took $((SECONDS - begun)) s: open $exp/report.html"
fi
