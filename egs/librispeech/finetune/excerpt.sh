# A few transcribed utterances and a small encoder; the held-out speakers serve for validation too: nothing is chosen by it.
suffix=excerpt valid=test scored=(train test)
configs=(conf/finetune/10min.yaml $here/excerpt.yaml) gpu=() select=()
