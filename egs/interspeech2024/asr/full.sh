# The baseline: ESPnet's egs2/interspeech2024_dsu_challenge/asr2.
suffix= valid=dev-other scored=(dev-clean dev-other test-clean test-other test-1h) select=(--labels 100h)
splits=(train train-1h "${scored[@]}")
train_on() { echo "data.train=[$(cuts "$1" train),$(cuts "$1" train-1h)]"; }
configs=(conf/asr/interspeech2024.yaml conf/trainer/gpu.yaml egs/librispeech/asr/train.yaml) gpu=(device=cuda)
layer=21 clusters=2000 subwords=3000 kind=unigram alpha=0.1 text=conf/text/bpe.yaml pieces=6500 fit=(share=0.3)
