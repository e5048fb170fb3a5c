"""The SAM family in plain torch: official checkpoints in, samovar bundles out."""
