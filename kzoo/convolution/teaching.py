"""A LeNet trained on digits with nothing but NumPy and this package's functions.

    python -m kzoo.convolution.teaching

Two blocks of convolution, BatchNorm, ReLU and max pooling, then a dense layer, learn scikit-learn's 8x8 digits with
cross entropy and SGD with momentum. Each layer is an object whose `forward` stores what `backward` needs; `backward`
takes the gradient with respect to the output, returns the gradient with respect to the input, and stores the gradients
with respect to the weights in `gradients`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from kzoo.convolution import (
    ALGORITHMS,
    batch_norm,
    batch_norm_gradients,
    batch_norm_inference,
    conv2d,
    conv2d_bias_gradient,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    max_pool2d,
    max_pool2d_gradient,
)
from kzoo.data import Split, get_dataset, load, split
from kzoo.seeds import generator


class Layer:
    """The base of all layers: weights and their gradients, in the same order (none by default)."""

    def __init__(self) -> None:
        """Start without weights."""
        self.weights: list[np.ndarray] = []
        self.gradients: list[np.ndarray] = []

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The output."""
        raise NotImplementedError

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient with respect to the input."""
        raise NotImplementedError


class Convolution(Layer):
    """A 3x3 convolution with padding "same"."""

    def __init__(self, channels: int, filters: int, random: np.random.Generator, algorithm: str) -> None:
        """Draw the weights as in He et al. (2015)."""
        super().__init__()
        deviation = np.sqrt(2 / (9 * channels))
        kernel = random.normal(0, deviation, (3, 3, channels, filters)).astype(np.float32)
        self.weights = [kernel, np.zeros(filters, np.float32)]
        self.options: dict[str, Any] = {"padding": "same", "algorithm": algorithm}

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """(batch, height, width, channels) to (batch, height, width, filters)."""
        self.x = x
        return conv2d(x, *self.weights, **self.options)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient with respect to the input; stores the gradients of kernel and bias."""
        kernel, _ = self.weights
        by_kernel = conv2d_kernel_gradient(self.x, gradient, kernel.shape, **self.options)
        self.gradients = [by_kernel, conv2d_bias_gradient(gradient)]
        return conv2d_input_gradient(gradient, kernel, self.x.shape, **self.options)


class BatchNorm(Layer):
    """BatchNorm with moving averages for inference; the average of the variance is unbiased."""

    def __init__(self, channels: int, momentum: float = 0.9) -> None:
        """Start with scale 1 and shift 0."""
        super().__init__()
        self.weights = [np.ones(channels, np.float32), np.zeros(channels, np.float32)]
        self.mean, self.variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        self.momentum = momentum

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The output, of the input's shape."""
        if not training:
            gamma, beta = self.weights
            return batch_norm_inference(x, gamma, beta, self.mean, self.variance)
        self.normalized = batch_norm(x, *self.weights)
        m = x.size // x.shape[-1]
        self.mean += (1 - self.momentum) * (self.normalized.mean - self.mean)
        self.variance += (1 - self.momentum) * (m / (m - 1) * self.normalized.variance - self.variance)
        return self.normalized.y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient with respect to the input; stores the gradients of scale and shift."""
        by_x, *self.gradients = batch_norm_gradients(gradient, self.normalized, self.weights[0])
        return by_x


class ReLU(Layer):
    """The positive part of the input."""

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The output, of the input's shape."""
        self.positive = x > 0
        return x * self.positive

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient where the input was positive, otherwise 0."""
        return gradient * self.positive


class MaxPool(Layer):
    """Max pooling over 2x2 pixels."""

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The output, half as high and wide."""
        self.shape = x.shape
        y, self.argmax = max_pool2d(x)
        return y

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient, passed to the largest pixels."""
        return max_pool2d_gradient(gradient, self.argmax, self.shape)


class Dense(Layer):
    """A matrix product with the flattened input."""

    def __init__(self, features: int, classes: int, random: np.random.Generator) -> None:
        """Draw the weights as in LeCun et al. (1998)."""
        super().__init__()
        matrix = random.normal(0, np.sqrt(1 / features), (features, classes)).astype(np.float32)
        self.weights = [matrix, np.zeros(classes, np.float32)]

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """(batch, ...) to (batch, classes)."""
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.weights[0] + self.weights[1]

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient with respect to the input; stores the gradients of matrix and bias."""
        self.gradients = [self.x.T @ gradient, gradient.sum(0)]
        return (gradient @ self.weights[0].T).reshape(self.shape)


class LeNet:
    """Two blocks of convolution, BatchNorm, ReLU and pooling, then a dense layer; 8x8 pixels in, classes out."""

    def __init__(
        self, seed: int = 0, *, filters: int = 16, classes: int = 10, algorithm: str = "im2col-blocked"
    ) -> None:
        """Draw the weights.

        Args:
            seed: seed of the weights.
            filters: filters of the first convolution; the second has twice as many.
            classes: number of outputs.
            algorithm: algorithm of the convolutions, see `kzoo.convolution.conv2d`.
        """
        random = generator(seed, "teaching: weights")
        self.layers: list[Layer] = []
        for channels, width in ((1, filters), (filters, 2 * filters)):
            self.layers += [Convolution(channels, width, random, algorithm), BatchNorm(width), ReLU(), MaxPool()]
        self.layers.append(Dense(2 * 2 * 2 * filters, classes, random))

    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """Images (batch, 8, 8, 1) to logits (batch, classes)."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The images' gradient, from the logits' gradient; every layer stores the gradients of its weights."""
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def parameters(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every array of weights with its gradient."""
        for layer in self.layers:
            yield from zip(layer.weights, layer.gradients, strict=True)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean loss in nats, and its gradient: probabilities minus one-hot labels, divided by the batch size."""
    shifted = logits - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -float(np.log(probabilities[rows, labels]).mean())
    probabilities[rows, labels] -= 1
    return loss, probabilities / len(labels)


def accuracy(network: LeNet, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose true class has the largest logit."""
    return float((network.forward(images).argmax(1) == labels).mean())


def train(
    *, epochs: int = 12, batch_size: int = 50, rate: float = 0.05, seed: int = 0, algorithm: str = "im2col-blocked"
) -> tuple[LeNet, float]:
    """Train on digits, print a line per epoch, and measure the accuracy on the test digits.

    Args:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is left out.
        rate: learning rate of SGD with momentum 0.9.
        seed: seed of the weights and the order of the images.
        algorithm: algorithm of the convolutions.

    Returns:
        The network and its test accuracy.
    """
    # Scale the pixels to mean 0 and variance 1, approximately.
    parts = split(load("digits"), Split(), get_dataset("digits"))
    pixels = [((part.images.astype(np.float32) / 255) - 0.3) / 0.37 for part in (parts.train, parts.test)]
    images, labels = pixels[0], parts.train.labels

    # Train with SGD and momentum on shuffled batches.
    network = LeNet(seed, algorithm=algorithm)
    velocities: dict[int, np.ndarray] = {}
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        order = generator(seed, "teaching: order", epoch).permutation(len(images))
        for first in range(0, len(images) - batch_size + 1, batch_size):
            chosen = order[first : first + batch_size]
            loss, gradient = cross_entropy(network.forward(images[chosen], training=True), labels[chosen])
            network.backward(gradient)
            for i, (weights, by_weights) in enumerate(network.parameters()):
                velocities[i] = 0.9 * velocities.get(i, np.zeros_like(weights)) - rate * by_weights
                weights += velocities[i]
            losses.append(loss)
        took = time.perf_counter() - start
        print(f"epoch {epoch + 1:2d}/{epochs}  loss {np.mean(losses):.4f}  {took:.1f} s", flush=True)

    # Measure the accuracy on the test digits.
    tested = accuracy(network, pixels[1], parts.test.labels)
    print(f"test accuracy {tested:.4f} on {len(pixels[1])} digits")
    return network, tested


def main() -> None:
    """Parse arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--algorithm", choices=tuple(ALGORITHMS), default="im2col-blocked")
    options = parser.parse_args()
    train(epochs=options.epochs, seed=options.seed, algorithm=options.algorithm)


if __name__ == "__main__":
    main()
