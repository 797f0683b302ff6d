# Fifty minutes of 251 speakers on two cores: a small model, ten minutes of training in all.
configs=(conf/size/demo.yaml $here/excerpt.yaml)
every=1 steps1=750 steps2=250 layer1=3 layer2=3 clusters1=100 clusters2=100 clusters3=100
fit=(share=1.0) read=() gpu=()
