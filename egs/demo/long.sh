preset=long steps1=4500 steps2=4500 steps_dinosr=9000 layer=3 clusters=100
more=(conf/measures/phones.yaml "data.fields.phones.symbols=$corpus/phones.json") # PNMI while it trains
