"""Models in and out: those of transformers, torchaudio and fairseq as ours, ours as transformers', codebooks as KMeans."""
