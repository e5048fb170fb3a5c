"""Quantisation-aware training of exported graphs, staged as QMedSAM stages it."""
