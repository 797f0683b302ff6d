preset=demo steps1=500 steps2=500 layer=3 clusters=100
