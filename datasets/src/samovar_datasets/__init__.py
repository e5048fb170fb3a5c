"""Generated images with exact ground truth, for samovar's demo, tests and training."""
