# DinoSR Base on 960 hours: Liu et al. 2023, section 4.1; phones are clearest at layer 5 (section 4.3).
configs=(egs/librispeech/hubert/train.yaml conf/trainer/ddp.yaml)
every=1 steps=400000 layer=5 clusters=256
fit=(num_workers=8) read=(num_workers=8) gpu=(device=cuda)
