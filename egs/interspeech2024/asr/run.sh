#!/usr/bin/env bash
# The recognition track of the Interspeech 2024 discrete speech unit challenge: error rates and bitrate of a tokenizer.
#   egs/interspeech2024/asr/run.sh --corpus-dir LibriSpeech --ml-superb eighth_version --encoder exp/wavlm-large   the baseline
#   egs/interspeech2024/asr/run.sh --corpus-dir LibriSpeech --ml-superb DIR --tokenizer DIR --input units          your own
#   egs/interspeech2024/asr/run.sh --corpus-dir EXCERPT --encoder DIR --toy        every stage once, without ML-SUPERB
# Options: --stage N --stop-stage M (0 to 8), --exp DIR, and any key=value for the training (seed=1). Every stage is taken up
# where it stopped; delete its folder to make it anew.

name=interspeech2024-asr superb=
cd "$(dirname "$0")/../../.." && . egs/asr.sh
stages=8
more_options() {
  case $1 in
    --ml-superb) [ -n "${2:-}" ] || die "--ml-superb takes a folder"; superb=$(place "$2") shifted=2 ;;
    *) return 1 ;;
  esac
}
begin "$@"
here=egs/interspeech2024/asr
. $here/$size.sh
exp=${exp:-exp/interspeech2024-asr$suffix}
data=$exp/data
check_inputs

if stage 0 "LibriSpeech 100 h and ML-SUPERB 1 h"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: LibriSpeech, or an excerpt with index.tsv"
  [ $size = toy ] || [ -n "$superb" ] || die "--ml-superb DIR is needed: the unpacked ML-SUPERB"
  [ -f "$data/.done" ] || {
    python egs/librispeech/hubert/local/prepare.py --corpus-dir "$corpus" --out "$data/all"
    python egs/librispeech/finetune/local/transcribed.py --cuts "$data/all" --out "$data" "${select[@]}"
    [ -z "$superb" ] || python $here/local/ml_superb.py "$superb" "$data"
  }
  touch "$data/.done"
  done_stage
fi
asr_stages
if stage 8 "bitrate, as the challenge computes it"; then
  for input in "${inputs[@]}"; do
    case $input in
      units) python $here/local/bitrate.py "$exp/bitrate-units.json" "${scored[@]/#/"$exp/units/"}" ;;
      units_bpe) python $here/local/bitrate.py "$exp/bitrate-units_bpe.json" --subwords "$exp/subwords/subwords" "${scored[@]/#/"$exp/units/"}" ;;
      *) echo "$input is no unit: no bitrate" ;;
    esac
  done
  done_stage
fi
