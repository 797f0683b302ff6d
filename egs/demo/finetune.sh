#!/usr/bin/env bash
# Teach an encoder of the demo to write: CTC on its sentences, beside the same encoder with random weights.
#   egs/demo/finetune.sh                               after egs/demo/run.sh          -> exp/demo/finetune/results.json
#   egs/demo/finetune.sh --exp exp/demo-quick          after egs/demo/run.sh --quick  -> exp/demo-quick/finetune/results.json
#   egs/demo/finetune.sh --tuning frozen               lora, adapters, prefix, biases or frozen (conf/tuning)
#   egs/demo/finetune.sh --encoder DIR --out exp/other any encoder of 16 kHz speech
# Options: --stage N --stop-stage M (0 to 2), and any key=value for the trainings (trainer.max_steps=1000 seed=1).
# Every stage is taken up where it stopped; delete its folder to make it anew.

name=demo-finetune stages=2 encoder= tuning= out= exp=exp/demo
option() {
  case $1 in
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoder=$(place "$2") shifted=2 ;;
    --out) [ -n "${2:-}" ] || die "--out takes a folder"; out=$(place "$2") shifted=2 ;;
    --tuning) [ -f "conf/tuning/${2:-}.yaml" ] || die "--tuning takes the name of a file in conf/tuning"; tuning=$2 shifted=2 ;;
    *) return 1 ;;
  esac
}
cd "$(dirname "$0")/../.." && . tools/stages.sh
begin "$@"
speech=$exp/corpus/speech
encoder=${encoder:-$exp/hubert_it2/encoder}
out=${out:-$exp/finetune${tuning:+-$tuning}}

# finetune OUT ENCODER
finetune() {
  recipe train conf/finetune/small.yaml conf/trainer/cpu.yaml egs/demo/finetune.yaml ${tuning:+conf/tuning/$tuning.yaml} \
    out="$1" model.encoder.folder="$2" data.fields.text.tokenizer.folder="$out/text/text" \
    data.train="$speech/cuts_train_en.jsonl.gz" data.valid="$speech/cuts_valid_en.jsonl.gz" "${overrides[@]}"
}

if stage 0 "text tokenizer"; then
  recipe fit_text conf/text/characters.yaml out="$out/text" cuts="$speech/cuts_train_en.jsonl.gz"
  done_stage
fi
if stage 1 "fine-tune the encoder, and random weights in its place"; then
  [ -d "$out/untrained" ] || python egs/librispeech/finetune/local/untrained.py "$encoder" "$out/untrained" 0
  finetune "$out/trained" "$encoder"
  finetune "$out/random" "$out/untrained"
  done_stage
fi
if stage 2 "recognise and score unseen speakers and sentences"; then
  recipe recognise out="$out/recognised" systems.trained="$out/trained/recogniser" systems.random="$out/random/recogniser" \
    cuts.test="$speech/cuts_test_en.jsonl.gz"
  cp "$out/recognised/results.json" "$out/results.json"
  done_stage
  echo "$name took $((SECONDS - begun)) s: see $out/results.json"
fi
