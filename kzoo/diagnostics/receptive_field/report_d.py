"""Report d's formula for receptive fields (no Keras)."""

from __future__ import annotations


def report_d_side(rate: float) -> float:
    """Rows of the receptive field after a dilated convolution by report d's formula (1): ``2 ** (rate / 2 + 2) - 1``.

    The report calls `rate` the dilation rate. The formula fits only one network, 3x3 convolutions with dilations 1,
    2 and 4 in turn (Yu and Koltun 2016), at rates 0, 2 and 4. It ignores all earlier layers.
    """
    return 2 ** (rate / 2 + 2) - 1
