"""Exports a model or a run to a file that runs elsewhere: BatchNorm folding, formats, parity, int8."""
