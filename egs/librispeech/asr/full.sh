# LibriSpeech with the numbers of ESPnet's egs2/librispeech_100/asr2 and egs2/librispeech/asr2.
suffix=$labels${speeds:+-speeds} valid=dev-other scored=(dev-clean dev-other test-clean test-other)
splits=(train "${scored[@]}") select=(--labels "$labels")
configs=(conf/asr/librispeech_${labels%h}.yaml conf/trainer/gpu.yaml $here/train.yaml) gpu=(device=cuda)
layer=21 clusters=2000 subwords=6000 kind=unigram alpha=0.4 text=conf/text/bpe.yaml pieces=5000 fit=(share=0.3)
