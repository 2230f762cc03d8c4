"""Receptive fields: effective ones measured, listed layer by layer next to the exact ones, and drawn."""
