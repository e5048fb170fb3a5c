"""What `tiny` learns from: catalogue, packing, generated scenes, augmentation, prompt sampling."""
