"""Benchmarks: each compares things within one run and prints ratios. Not part of the wheel."""
