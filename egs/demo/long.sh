preset=long steps1=4500 steps2=4500 layer=3 clusters=100
