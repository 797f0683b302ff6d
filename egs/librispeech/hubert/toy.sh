# Every stage once, to see that all of them work: two layers, a few updates, a few utterances.
configs=(conf/size/toy.yaml $here/excerpt.yaml $here/toy.yaml)
every=8 steps1=10 steps2=10 layer1=1 layer2=2 clusters1=20 clusters2=20 clusters3=20
fit=(share=1.0) read=() gpu=()
