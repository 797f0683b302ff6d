"""Audio and labels from lhotse manifests: the only package that imports lhotse."""
