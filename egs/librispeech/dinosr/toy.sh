# Every stage once, to see that all of them work: two layers, a few updates, a few utterances.
configs=(conf/size/toy.yaml $hubert/excerpt.yaml $hubert/toy.yaml)
every=8 steps=10 layer=1 clusters=20
fit=(share=1.0) read=() gpu=()
