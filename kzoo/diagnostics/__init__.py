"""Diagnostics of a Keras model, kzoo's or any other."""
