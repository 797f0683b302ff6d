preset=long steps1=5000 steps2=5000 layer=3 clusters=100
