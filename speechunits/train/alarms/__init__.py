"""What a run should not look like, said while it can still be mended. One file per alarm; docs/alarms.md lists them."""
