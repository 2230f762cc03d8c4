"""Augmentation of batches, and expansions of the training images; `spec` is what recipes use."""
