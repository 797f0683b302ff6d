# 960 hours, 2338 speakers; trials of test-clean and test-other, whole utterances.
configs=(conf/trainer/gpu.yaml $here/train.yaml)
prepare=() pieces=() steps=100000 gpu=(device=cuda)
