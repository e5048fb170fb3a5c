"""Prompt encoder and mask decoder that the SAM family shares (137 tensors, one set of keys)."""
