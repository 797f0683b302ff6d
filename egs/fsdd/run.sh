#!/usr/bin/env bash
# Digits on unseen speakers: what a linear probe reads off MFCC, off a trained encoder and off random weights.
#   egs/fsdd/run.sh --corpus-dir DIR                       MFCC alone
#   egs/fsdd/run.sh --corpus-dir DIR --encoder exp/run/encoder
#   egs/fsdd/run.sh --corpus-dir DIR --encoder exp/seed0/encoder --encoder exp/seed1/encoder --encoder exp/seed2/encoder
# DIR is a copy of https://github.com/Jakobovski/free-spoken-digit-dataset (the folder that holds recordings/).
# Options: --stage N --stop-stage M (0 to 1), --exp DIR, and any key=value for the probe (inner=4, device=cuda).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=fsdd stages=1 corpus= encoders=() exp=exp/fsdd
option() {
  case $1 in
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoders+=("$(place "$2")") shifted=2 ;;
    *) return 1 ;;
  esac
}
cd "$(dirname "$0")/../.." && . tools/stages.sh
begin "$@"
here=egs/fsdd

if stage 0 "digits as cuts"; then
  [ -n "$corpus" ] || die "--corpus-dir DIR is needed: the folder that holds recordings/"
  [ -f "$exp/digits.jsonl.gz" ] || python $here/local/prepare.py "$corpus" "$exp/digits.jsonl.gz"
  done_stage
fi
if stage 1 "linear probes on unseen speakers"; then
  python $here/local/systems.py "$exp/systems.yaml" "${encoders[@]}"
  recipe probe "$exp/systems.yaml" $here/probe.yaml out="$exp/probe" cuts="$exp/digits.jsonl.gz" "${overrides[@]}"
  cp "$exp/probe/results.json" "$exp/results.json"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $exp/results.json"
fi
