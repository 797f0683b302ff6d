preset=demo steps1=600 steps2=600 layer=3 clusters=100
