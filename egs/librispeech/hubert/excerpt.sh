# Fifty minutes of 251 speakers on two cores: a small model, ten minutes of training in all.
# One variance for all bands: band by band, the empty half of 8 kHz recordings (egs/fsdd) becomes noise.
configs=(conf/size/demo.yaml $here/excerpt.yaml model.encoder.frontend.normalize=mean)
every=1 steps1=600 steps2=1000 layer1=2 layer2=3 clusters1=100 clusters2=100 clusters3=100
fit=(share=1.0) read=() gpu=()
