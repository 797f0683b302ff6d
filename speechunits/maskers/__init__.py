"""What the encoder may see. A masker draws from lengths alone (``draw``) and applies the draw (``forward``)."""
