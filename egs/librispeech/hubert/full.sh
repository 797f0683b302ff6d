# HuBERT Base on 960 hours: Hsu et al. 2021, section IV-B and IV-C.
configs=($here/train.yaml conf/trainer/ddp.yaml)
every=1 steps1=250000 steps2=400000 layer1=6 layer2=9 clusters1=100 clusters2=500 clusters3=500
fit=(num_workers=8) read=(num_workers=8) gpu=(device=cuda)
