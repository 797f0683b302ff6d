#!/usr/bin/env bash
# One recogniser for all languages of Multilingual LibriSpeech, which says which language it hears: error rates by language.
#   egs/mls/asr/run.sh --corpus-dir MLS --encoder exp/xls-r --layer 15         MLS holds mls_german/, mls_polish/ ...
#   egs/mls/asr/run.sh --corpus-dir MLS --tokenizer DIR --languages de,es,fr   some of them, and a tokenizer of your own
#   egs/mls/asr/run.sh --corpus-dir EXCERPT --encoder DIR --toy                every stage once
# --input units_bpe (the default), units, fbank, features or cached_features; several give one table. --opus where the corpus is
# the compressed one. --lm ngram or words.
# Options: --stage N --stop-stage M (0 to 7), --exp DIR, and any key=value for the trainings (trainer.devices=2
# data.mixture.temperature=3). Every stage is taken up where it stopped; delete its folder to make it anew.

name=mls-asr languages=de,en,es,fr,it,nl,pl,pt opus=
cd "$(dirname "$0")/../../.." && . egs/asr.sh
more_options() {
  case $1 in
    --languages) [[ ${2:-} =~ ^[a-z]{2}(,[a-z]{2})*$ ]] || die "--languages takes codes as de,es"; languages=$2 shifted=2 ;;
    --opus) opus=--opus shifted=1 ;;
    *) return 1 ;;
  esac
}
train_on() { for language in ${languages//,/ }; do echo "data.train.$language=$(cuts "$1" "train_$language")"; done; }
begin "$@"
here=egs/mls/asr
. $here/$size.sh
exp=${exp:-exp/mls-asr$suffix}
data=$exp/data valid=valid scored=(test)
splits=($(for language in ${languages//,/ }; do echo "train_$language"; done) valid test)
configs+=(conf/asr/mls.yaml egs/librispeech/asr/train.yaml) score=($here/score.yaml)
check_inputs

if stage 0 "cuts of every language, its name before the text"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: the folder of mls_german/ and others, or an excerpt with index.tsv"
  [ -f "$data/.done" ] || python $here/local/prepare.py --corpus-dir "$corpus" --out "$data" --languages "$languages" $opus
  touch "$data/.done"
  done_stage
fi
asr_stages
if [ "$last" -ge 7 ]; then
  for input in "${inputs[@]}"; do python $here/local/identified.py "$(recognised)/$input-test.jsonl"; done
fi
