# A few transcribed utterances and a small encoder; the held-out speakers serve for validation too: nothing is chosen by it.
suffix=excerpt valid=test scored=(train test)
configs=(conf/finetune/small.yaml conf/trainer/cpu.yaml $here/excerpt.yaml) gpu=() select=()
