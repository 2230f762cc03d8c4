"""``python -m benchmarks.convolution``."""

from benchmarks.convolution.command import main

main()
