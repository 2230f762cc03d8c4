"""Receptive fields: effective ones measured, listed layer by layer beside the exact ones, and drawn."""
