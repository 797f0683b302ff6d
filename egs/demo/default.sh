preset=demo steps1=450 steps2=450 steps_dinosr=900 layer=3 clusters=100
steps_asr=500 subwords=1000 text=(conf/text/words.yaml) inputs=(units units_bpe fbank features)
