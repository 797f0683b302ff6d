"""Lightning callbacks: stopping, checkpoints, progress."""
