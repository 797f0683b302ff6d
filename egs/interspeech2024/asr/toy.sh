# Every stage once, to see that all of them work.
suffix=-toy valid=test scored=(train test) splits=(train test) select=()
configs=(conf/asr/interspeech2024.yaml conf/trainer/cpu.yaml egs/librispeech/asr/train.yaml)
small=(conf/size/toy_asr.yaml egs/librispeech/asr/toy.yaml)
layer=1 clusters=20 subwords=24 kind=bpe alpha=0.1 text=conf/text/bpe.yaml pieces=40
