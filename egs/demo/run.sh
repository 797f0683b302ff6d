#!/usr/bin/env bash
# The whole job on a synthesised corpus: corpus, MFCC units, HuBERT twice, units, measures, report.
#   egs/demo/run.sh            ten minutes on two cores        -> exp/demo/report.html
#   egs/demo/run.sh --quick    three minutes, smaller corpus    -> exp/demo-quick/report.html
#   egs/demo/run.sh --long     52 minutes, the better figures  -> exp/demo-long/report.html
# Options: --stage N --stop-stage M (0 to 8), --exp DIR, and any key=value for the two trainings (optimizer.lr=1e-3).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=demo stages=8 size=default
option() { case $1 in --quick|--long) size=${1#--} shifted=1 ;; *) return 1 ;; esac; }
cd "$(dirname "$0")/../.." && . tools/stages.sh
begin "$@"
here=egs/demo
suffix=${size/default/}
exp=${exp:-exp/demo${suffix:+-$suffix}}
corpus=$exp/corpus more=() measure=()
. "$here/$size.sh"

# hubert OUT LABELS STEPS: one iteration on the units in LABELS
hubert() {
  recipe train conf/system/hubert_base.yaml conf/size/demo.yaml $here/train.yaml "${more[@]}" out="$1" \
    data.train="$2/train.jsonl.gz" data.valid="$2/valid.jsonl.gz" trainer.max_steps=$3 schedule.total=$3 "${overrides[@]}"
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
  hubert "$exp/hubert_it1" "$exp/units_mfcc" $steps1
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
  hubert "$exp/hubert_it2" "$exp/units_it1" $steps2
  done_stage
fi
if stage 6 "units of the second iteration for every split"; then
  recipe fit_units $here/hubert_units.yaml out="$exp/km_it2" cuts="$corpus/speech/cuts_train_en.jsonl.gz" \
    features.source.folder="$exp/hubert_it2/encoder" features.read=layer:$layer
  recipe extract_units out="$exp/units" tokenizer="$exp/km_it2/tokenizer" cuts.train="$corpus/speech/cuts_train_en.jsonl.gz" \
    cuts.valid="$corpus/speech/cuts_valid_en.jsonl.gz" cuts.test="$corpus/speech/cuts_test_en.jsonl.gz"
  done_stage
fi
if stage 7 "measure MFCC, random weights and both iterations on unseen speakers"; then
  recipe evaluate $here/evaluate.yaml "${measure[@]}" out="$exp/evaluation" symbols="$corpus/phones.json" \
    data.fit="$corpus/speech/cuts_train_en.jsonl.gz" data.valid="$corpus/speech/cuts_valid_en.jsonl.gz" data.test="$corpus/speech/cuts_test_en.jsonl.gz" \
    systems.random.source.folder="$exp/hubert_it1/encoder" \
    systems.hubert_it1.source.folder="$exp/hubert_it1/encoder" systems.hubert_it2.source.folder="$exp/hubert_it2/encoder"
  done_stage
fi
if stage 8 "report"; then
  recipe report $here/report.yaml out="$exp/report" exp="$exp"
  done_stage
  echo "$name took $((SECONDS - begun)) s: open $exp/report.html"
fi
