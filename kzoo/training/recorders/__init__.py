"""Recorders of a network during training: gradient flow and weight histograms."""
