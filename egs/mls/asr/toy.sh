# Every stage once, to see that all of them work.
suffix=-toy configs=(conf/trainer/cpu.yaml) languages=en,de,es
small=(conf/size/toy_asr.yaml egs/librispeech/asr/toy.yaml)
layer=1 clusters=20 subwords=24 kind=bpe alpha=0.1 text=conf/text/characters.yaml pieces=
