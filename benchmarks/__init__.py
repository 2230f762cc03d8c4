"""Benchmarks: each compares its contenders within one run and prints ratios. Not part of the wheel."""
