#!/usr/bin/env bash
# Recognition on LibriSpeech from units, subwords of units, filterbanks or features of an encoder: word error rates.
#   egs/librispeech/asr/run.sh --corpus-dir LibriSpeech --encoder exp/wavlm-large                     100 h, subwords of units
#   egs/librispeech/asr/run.sh --corpus-dir LibriSpeech --tokenizer DIR --labels 960h                 another tokenizer, 960 h
#   egs/librispeech/asr/run.sh --corpus-dir LibriSpeech --encoder DIR --input units_bpe --input fbank   both, in one table
#   egs/librispeech/asr/run.sh --corpus-dir EXCERPT --encoder DIR --toy                               every stage once
# --input units_bpe (the default), units, fbank, features (a weighted sum of all layers) or cached_features (one layer, stored);
# --labels 100h (the default) or 960h; --speeds adds the training speech at 0.9 and 1.1 of its speed; --lm ngram (of text
# pieces) or words (a word graph; of --arpa FILE, else of the training transcripts).
# Options: --stage N --stop-stage M (0 to 7), --exp DIR, and any key=value for the trainings (trainer.devices=2
# data.accumulate=1 seed=1). Every stage is taken up where it stopped; delete its folder to make it anew.

name=librispeech-asr labels=100h speeds=
cd "$(dirname "$0")/../../.." && . egs/asr.sh
more_options() {
  case $1 in
    --labels) [[ ${2:-} =~ ^(100h|960h)$ ]] || die "--labels takes 100h or 960h"; labels=$2 shifted=2 ;;
    --speeds) speeds=1 shifted=1 ;;
    *) return 1 ;;
  esac
}
begin "$@"
here=egs/librispeech/asr
. $here/$size.sh
exp=${exp:-exp/librispeech-asr-$suffix}
data=$exp/data
[ -z "$speeds" ] || said_cuts() { echo "$data/cuts_said.jsonl.gz"; }
check_inputs

if stage 0 "transcribed cuts"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: LibriSpeech, or an excerpt with index.tsv"
  [ -f "$data/.done" ] || {
    python egs/librispeech/hubert/local/prepare.py --corpus-dir "$corpus" --out "$data/all"
    python egs/librispeech/finetune/local/transcribed.py --cuts "$data/all" --out "$data" "${select[@]}"
    if [ -n "$speeds" ]; then
      cp "$data/cuts_train.jsonl.gz" "$data/cuts_said.jsonl.gz"
      python $here/local/speeds.py "$data/cuts_train.jsonl.gz" 0.9 1.1
    fi
  }
  touch "$data/.done"
  done_stage
fi
asr_stages
