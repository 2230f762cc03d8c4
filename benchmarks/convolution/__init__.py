"""Compare the algorithms of `kzoo.convolution` with each other and with the Keras backend's own convolution.

    python -m benchmarks.convolution --quick

Run it from the root of the repository. It measures time, memory and their growth, and prints a verdict on each claim of
the reports (docs/convolution.md).
"""
