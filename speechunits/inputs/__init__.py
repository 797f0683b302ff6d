"""What a recogniser listens to: batches to frames of features."""
