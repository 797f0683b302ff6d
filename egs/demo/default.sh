preset=demo steps1=550 steps2=550 layer=3 clusters=100
