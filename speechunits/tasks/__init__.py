"""What units and features are good for: probes on frozen features, models on units."""
