preset=quick steps1=120 steps2=120 layer=3 clusters=100
