"""Inspection of any Keras model: its layers, graph, gradients, receptive fields, sizes and outputs.

Nothing here depends on kzoo's models, recipes or runs; models, training and diagnostics build on this package.
"""
