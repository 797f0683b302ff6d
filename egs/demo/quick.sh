preset=quick steps1=150 steps2=150 layer=3 clusters=100
