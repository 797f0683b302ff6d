"""Scores to symbols. A decoder takes a head's scores (a Seq of log-probabilities) and gives B tensors of symbols."""
