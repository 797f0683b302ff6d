#!/usr/bin/env bash
# HuBERT Base on LibriSpeech: MFCC units, HuBERT, units of its layer 6, HuBERT again, units of its layer 9, measures.
#   egs/librispeech/hubert/run.sh                              downloads 60 GB to data/librispeech; see README.md for GPUs
#   egs/librispeech/hubert/run.sh --corpus-dir LibriSpeech     uses what is there
#   egs/librispeech/hubert/run.sh --corpus-dir EXCERPT --excerpt    a small model on a small corpus, two cores, minutes
#   egs/librispeech/hubert/run.sh --corpus-dir EXCERPT --toy        every stage once, in a minute or two
# Options: --stage N --stop-stage M (0 to 8), --exp DIR, --every N (one of N utterances), --phones FILE.ctm (phone
# alignments: adds PNMI and ABX), and any key=value for the two trainings (trainer.devices=8 data.accumulate=4).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=librispeech-hubert stages=8
cd "$(dirname "$0")/../../.." && . egs/librispeech/corpus.sh
begin "$@"
here=egs/librispeech/hubert
. $here/$size.sh
exp=${exp:-exp/librispeech-$size}
data=$exp/data

# hubert OUT LABELS STEPS: one iteration on the units in LABELS; 8 % of the updates are warm-up (section IV-C)
hubert() {
  recipe train conf/system/hubert_base.yaml "${configs[@]}" out="$1" \
    data.train="$2/train.jsonl.gz" data.valid="$2/valid.jsonl.gz" \
    trainer.max_steps="$3" schedule.total="$3" schedule.warmup=$(($3 * 8 / 100)) "${overrides[@]}"
}

corpus_stages
if stage 2 "k-means on MFCC, and its units"; then
  recipe fit_units $here/mfcc.yaml out="$exp/km_mfcc" cuts="$data/cuts_train.jsonl.gz" fitter.size=$clusters1 \
    "${fit[@]}"
  units "$exp/units_mfcc" "$exp/km_mfcc" "${read[@]}"
  done_stage
fi
if stage 3 "HuBERT, first iteration, on MFCC units"; then
  hubert "$exp/hubert_it1" "$exp/units_mfcc" $steps1
  done_stage
fi
if stage 4 "k-means on layer $layer1 of the first iteration, and its units"; then
  recipe fit_units $here/layer.yaml out="$exp/km_it1" cuts="$data/cuts_train.jsonl.gz" fitter.size=$clusters2 \
    features.source.folder="$exp/hubert_it1/encoder" features.read=layer:$layer1 "${fit[@]}" "${gpu[@]}"
  units "$exp/units_it1" "$exp/km_it1" "${read[@]}" "${gpu[@]}"
  done_stage
fi
if stage 5 "HuBERT, second iteration, on those units"; then
  hubert "$exp/hubert_it2" "$exp/units_it1" $steps2
  done_stage
fi
if stage 6 "k-means on layer $layer2 of the second iteration"; then
  recipe fit_units $here/layer.yaml out="$exp/km_it2" cuts="$data/cuts_train.jsonl.gz" fitter.size=$clusters3 \
    features.source.folder="$exp/hubert_it2/encoder" features.read=layer:$layer2 "${fit[@]}" "${gpu[@]}"
  done_stage
fi
if stage 7 "units of every split"; then
  units "$exp/units" "$exp/km_it2" "${read[@]}" "${gpu[@]}"
  done_stage
fi
if stage 8 "measures"; then
  python $here/local/unit_statistics.py "$exp/results.json" mfcc="$exp/units_mfcc/valid.jsonl.gz" \
    hubert_it1="$exp/units_it1/valid.jsonl.gz" hubert_it2="$exp/units/valid.jsonl.gz"
  if [ -f "$data/phones.json" ]; then
    test=$data/cuts_test.jsonl.gz
    [ -f "$test" ] || test=$data/cuts_valid.jsonl.gz
    recipe evaluate $here/evaluate.yaml out="$exp/evaluation" symbols="$data/phones.json" size=$clusters3 \
      data.fit="$data/cuts_train.jsonl.gz" data.valid="$data/cuts_valid.jsonl.gz" data.test="$test" \
      systems.hubert_it1.source.folder="$exp/hubert_it1/encoder" systems.hubert_it1.reads="[layer:$layer1]" \
      systems.hubert_it2.source.folder="$exp/hubert_it2/encoder" systems.hubert_it2.reads="[layer:$layer2]" "${gpu[@]}"
  fi
  done_stage
  echo "$name took $((SECONDS - begun)) s: units in $exp/units, figures in $exp/results.json"
fi
