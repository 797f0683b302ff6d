# The size, the corpus and as many updates as both iterations of egs/librispeech/hubert --excerpt; the layer that was best
# on validation speakers of egs/demo (the input of the transformer, after five convolutions over time).
configs=(conf/size/demo.yaml conf/size/demo_dinosr.yaml $hubert/excerpt.yaml model.encoder.frontend.normalize=mean)
every=1 steps=1600 layer=0 clusters=100
fit=(share=1.0) read=() gpu=()
