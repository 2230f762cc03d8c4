"""The network without a framework: its gradients are right, and it learns digits."""

import subprocess
import sys

import numpy as np
import pytest

from kzoo.convolution import teaching


def test_gradients_of_the_whole_network_are_those_of_finite_differences():
    network = teaching.LeNet(filters=2)
    for layer in network.layers:
        layer.weights = [array.astype(np.float64) for array in layer.weights]
    random = np.random.default_rng(0)
    images, labels = random.standard_normal((6, 8, 8, 1)), random.integers(10, size=6)

    def loss():
        return teaching.cross_entropy(network.forward(images, training=True), labels)

    network.backward(loss()[1])
    pairs = [(weights, by_weights.copy()) for weights, by_weights in network.parameters()]
    assert len(pairs) == 10
    step = 1e-6
    for weights, by_weights in pairs:
        way = random.standard_normal(weights.shape)
        weights += step * way
        there = loss()[0]
        weights -= 2 * step * way
        away = loss()[0]
        weights += step * way
        assert (there - away) / (2 * step) == pytest.approx((by_weights * way).sum(), rel=1e-4, abs=1e-7)


@pytest.mark.slow
@pytest.mark.representative
def test_learns_digits(capsys):
    network, accuracy = teaching.train(epochs=4)
    assert accuracy > 0.95
    assert "test accuracy 0.9" in capsys.readouterr().out
    assert network.layers[1].variance.min() > 0


@pytest.mark.slow
@pytest.mark.representative
def test_needs_no_framework():
    code = (
        "import sys, kzoo.convolution.teaching as t; t.train(epochs=0); "
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
