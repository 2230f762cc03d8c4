"""The network without a framework: its gradients are right, and it learns digits."""

import subprocess
import sys

import numpy as np
import pytest

from kzoo.convolution import teaching


def test_gradients_of_the_whole_network_equal_finite_differences():
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


def test_initial_weights_have_the_stated_variance_and_follow_the_seed():
    network = teaching.LeNet(3, filters=32)
    (first, _), (second, _), (dense, _) = (network.layers[i].weights for i in (0, 4, 8))
    for weights, deviation in ((first, 2 / 9), (second, 2 / (9 * 32)), (dense, 1 / 256)):
        few = 4 / weights.size**0.5
        assert weights.mean() / deviation**0.5 == pytest.approx(0, abs=few)
        assert weights.var() == pytest.approx(deviation, rel=2 * few)
    assert [layer.weights[1].any() for layer in network.layers if layer.weights] == [False] * 5
    np.testing.assert_array_equal(teaching.LeNet(3, filters=32).layers[4].weights[0], second)
    assert not np.array_equal(teaching.LeNet(4, filters=32).layers[4].weights[0], second)


def test_batch_norm_keeps_moving_averages_for_inference():
    layer, random = teaching.BatchNorm(2, momentum=0.75), np.random.default_rng(0)
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(3):
        x = (5 + 2 * random.standard_normal((4, 3, 3, 2))).astype(np.float32)
        layer.forward(x, training=True)
        mean = 0.75 * mean + 0.25 * x.mean((0, 1, 2))
        variance = 0.75 * variance + 0.25 * x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.variance, variance, rtol=1e-5)
    expected = (x - mean) / np.sqrt(variance)
    np.testing.assert_allclose(layer.forward(x, training=False), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)


def test_loss_and_its_gradient():
    logits, labels = np.array([[2.0, 0.0, -1.0], [700.0, 800.0, 0.0]]), np.array([0, 0])
    loss, gradient = teaching.cross_entropy(logits, labels)
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert loss == pytest.approx((100 - np.log(shares[0])) / 2)
    np.testing.assert_allclose(gradient, [(shares - [1, 0, 0]) / 2, [-0.5, 0.5, 0]], atol=1e-12)


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
