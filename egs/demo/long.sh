preset=long steps1=4500 steps2=4500 steps_dinosr=9000 layer=3 clusters=100
steps_asr=3600 subwords=1000 text=(conf/text/words.yaml) inputs=(units units_bpe fbank features)
more=(conf/measures/phones.yaml "data.fields.phones.symbols=$corpus/phones.json") # PNMI while it trains
