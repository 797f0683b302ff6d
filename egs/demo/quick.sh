preset=quick steps1=50 steps2=50 steps_dinosr=50 layer=3 clusters=100
steps_asr=200 subwords=800 text=(conf/text/words.yaml) inputs=(units_bpe features)
ranks=1 measure=('seeds=[0,1]' fit_frames=30000)
