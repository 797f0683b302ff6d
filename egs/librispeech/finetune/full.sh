# LibriSpeech and Libri-light's limited sets, with fairseq's numbers for each.
suffix=$labels valid=valid scored=(test-clean test-other)
configs=(conf/finetune/$labels.yaml $here/train.yaml conf/trainer/gpu.yaml) gpu=(device=cuda)
select=(--labels "$labels") && [ -z "$librilight" ] || select+=(--librilight "$librilight")
