"""Optimizers and learning rates of recipes."""
