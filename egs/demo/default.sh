preset=demo steps1=500 steps2=500 steps_dinosr=1000 layer=3 clusters=100
steps_asr=500 subwords=1000 text=(conf/text/words.yaml) inputs=(units units_bpe fbank features)
