"""The promptable model `tiny`: encoder, prompt encoder, mask decoder."""
