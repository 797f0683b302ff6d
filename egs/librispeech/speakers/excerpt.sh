# One utterance of each of 251 speakers, in pieces of three seconds; fifty speakers are for trials alone.
configs=(conf/trainer/cpu.yaml $here/excerpt.yaml)
prepare=(--valid-speakers 50) pieces=(--seconds 3) steps=300 gpu=()
