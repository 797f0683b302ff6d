# Every stage once, to see that all of them work; the held-out speakers serve for validation too: nothing is chosen by it.
suffix=toy valid=test scored=(train test) splits=(train test) select=()
configs=(conf/asr/librispeech_${labels%h}.yaml conf/trainer/cpu.yaml $here/train.yaml) small=(conf/size/toy_asr.yaml $here/toy.yaml)
layer=1 clusters=20 subwords=24 kind=bpe alpha=0.4 text=conf/text/bpe.yaml pieces=40
