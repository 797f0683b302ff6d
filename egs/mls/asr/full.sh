# Eight languages, 6000 hours and more without English.
suffix= configs=(conf/trainer/gpu.yaml) gpu=(device=cuda)
layer=21 clusters=2000 subwords=6000 kind=unigram alpha=0.1 text=conf/text/unigram.yaml pieces=6500 fit=(share=0.05)
