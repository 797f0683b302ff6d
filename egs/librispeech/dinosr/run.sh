#!/usr/bin/env bash
# DinoSR Base on LibriSpeech: self-distillation with online clusters, units of its layer 5, measures.
#   egs/librispeech/dinosr/run.sh                              downloads 60 GB to data/librispeech; see README.md for GPUs
#   egs/librispeech/dinosr/run.sh --corpus-dir LibriSpeech     uses what is there
#   egs/librispeech/dinosr/run.sh --corpus-dir EXCERPT --excerpt    a small model on a small corpus, two cores, minutes
#   egs/librispeech/dinosr/run.sh --corpus-dir EXCERPT --toy        every stage once, in a minute
# Options: --stage N --stop-stage M (0 to 5), --exp DIR, --every N (one of N utterances), --phones FILE.ctm (phone
# alignments: adds PNMI and ABX), and any key=value for the training (trainer.devices=8 data.accumulate=2).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=librispeech-dinosr stages=5
cd "$(dirname "$0")/../../.." && . egs/librispeech/corpus.sh
begin "$@"
here=egs/librispeech/dinosr hubert=egs/librispeech/hubert
. $here/$size.sh
exp=${exp:-exp/librispeech-dinosr-$size}
data=$exp/data

corpus_stages
if stage 2 "DinoSR"; then  # 3, 47 and 50 % of the updates: the authors' config/base.yaml
  recipe train conf/system/dinosr_base.yaml "${configs[@]}" out="$exp/dinosr" data.train="$data/cuts_train.jsonl.gz" \
    data.valid="$data/cuts_valid.jsonl.gz" trainer.max_steps=$steps schedule.warmup=$((steps * 3 / 100)) \
    schedule.hold=$((steps * 47 / 100)) schedule.decay=$((steps / 2)) "${overrides[@]}"
  done_stage
fi
if stage 3 "k-means on its layer $layer"; then
  recipe fit_units $hubert/layer.yaml out="$exp/km" cuts="$data/cuts_train.jsonl.gz" fitter.size=$clusters \
    features.source.folder="$exp/dinosr/encoder" features.read=layer:$layer "${fit[@]}" "${gpu[@]}"
  done_stage
fi
if stage 4 "units of every split"; then
  units "$exp/units" "$exp/km" "${read[@]}" "${gpu[@]}"
  done_stage
fi
if stage 5 "measures"; then
  python $hubert/local/unit_statistics.py "$exp/results.json" dinosr="$exp/units/valid.jsonl.gz"
  if [ -f "$data/phones.json" ]; then
    test=$data/cuts_test.jsonl.gz
    [ -f "$test" ] || test=$data/cuts_valid.jsonl.gz
    recipe evaluate $here/evaluate.yaml out="$exp/evaluation" symbols="$data/phones.json" size=$clusters \
      data.fit="$data/cuts_train.jsonl.gz" data.valid="$data/cuts_valid.jsonl.gz" data.test="$test" \
      systems.dinosr.source.folder="$exp/dinosr/encoder" systems.dinosr.reads="[layer:$layer]" "${gpu[@]}"
  fi
  done_stage
  echo "$name took $((SECONDS - begun)) s: units in $exp/units, figures in $exp/results.json"
fi
