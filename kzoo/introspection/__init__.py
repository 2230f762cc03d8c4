"""Inspection of any Keras model: its layers, graph, gradients, receptive fields, sizes and outputs.

Nothing here knows of kzoo's models, of recipes or of runs: models, training and diagnostics build on it.
"""
