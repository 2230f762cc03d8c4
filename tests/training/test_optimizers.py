"""Optimizers of a recipe: penalties are coupled as in PyTorch, and averages are swapped in and out."""

import keras
import numpy as np
import pytest

from kzoo.recipes import Recipe
from kzoo.recipes.settings import SGD, Adadelta, Adagrad, Adam, AdamW, Lookahead, Momentum, Nesterov, RMSprop
from kzoo.training.optimization.optimizers import averaged, build_optimizer

pytestmark = pytest.mark.backend

ROWS, COLUMNS = 30, 7


def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(ROWS,)), rng.normal(size=(COLUMNS,))


def our_steps(optimizer, steps=10, *, build=True):
    """Least squares by gradient steps: the gradient is known, so only the optimizer is tested."""
    a, b, start = problem()
    variable = keras.Variable(start.astype("float32"))
    if build:
        optimizer.build([variable])
    weights = []
    for _ in range(steps):
        w = keras.ops.convert_to_numpy(variable).astype(np.float64)
        gradient = 2 * a.T @ (a @ w - b) / ROWS
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        weights.append(keras.ops.convert_to_numpy(variable))
    return np.array(weights)


def torch_steps(make, steps=10):
    torch = pytest.importorskip("torch", reason="PyTorch is the independent computation")
    a, b, start = (torch.tensor(x) for x in problem())
    w = torch.nn.Parameter(start.float())
    optimizer = make(torch.optim, [w])
    weights = []
    for _ in range(steps):
        w.grad = (2 * a.T @ (a @ w.detach().double() - b) / ROWS).float()
        optimizer.step()
        weights.append(w.detach().numpy().copy())
    return np.array(weights)


CASES = [
    (Adam(learning_rate=0.01), {}, lambda o, p: o.Adam(p, lr=0.01)),
    (Adam(learning_rate=0.01), {"l2": 0.1}, lambda o, p: o.Adam(p, lr=0.01, weight_decay=0.1)),
    (AdamW(learning_rate=0.01), {"weight_decay": 0.1}, lambda o, p: o.AdamW(p, lr=0.01, weight_decay=0.1)),
    (AdamW(learning_rate=0.01), {"weight_decay": 0}, lambda o, p: o.AdamW(p, lr=0.01, weight_decay=0)),
    (SGD(learning_rate=0.05), {"l2": 0.1}, lambda o, p: o.SGD(p, lr=0.05, weight_decay=0.1)),
    (Momentum(learning_rate=0.05), {"l2": 0.1}, lambda o, p: o.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1)),
    (
        Nesterov(learning_rate=0.05),
        {"l2": 0.1},
        lambda o, p: o.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    (RMSprop(), {"l2": 0.1}, lambda o, p: o.RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.1)),
    (Adagrad(), {"l2": 0.1}, lambda o, p: o.Adagrad(p, lr=0.01, weight_decay=0.1)),
    (Adadelta(), {"l2": 0.1}, lambda o, p: o.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.1)),
]


@pytest.mark.parametrize(("kind", "fields", "make"), CASES, ids=lambda value: getattr(value, "kind", ""))
def test_ten_steps_equal_pytorch(kind, fields, make):
    recipe = Recipe("test/steps", model="mlp", optimizer=kind, **fields).resolved()
    ours, theirs = our_steps(build_optimizer(recipe)), torch_steps(make)
    assert np.abs(ours[-1] - problem()[2]).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("kind", [RMSprop(), Adagrad()], ids=lambda value: value.kind)
def test_small_gradients_are_not_lost_in_epsilon(kind, size):
    """Chainer and PyTorch add epsilon to the root; Keras, to the number under it."""
    optimizer = build_optimizer(Recipe("test/small", model="mlp", optimizer=kind).resolved())
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(np.array([size], "float32"))], [variable])
    mean = (1 - kind.rho) * size**2 if kind.kind == "rmsprop" else size**2
    expected = -kind.learning_rate * size / (np.sqrt(mean) + kind.epsilon)
    assert keras.ops.convert_to_numpy(variable)[0] == pytest.approx(expected, rel=0.5 if size < 1e-6 else 0.02)


@pytest.mark.parametrize(
    "fields", [{"l2": 0.1}, {"lookahead": Lookahead(every=2)}, {"rate_multipliers": {"*": 0.5}}], ids=str
)
def test_an_optimizer_is_built_by_its_first_step_at_the_latest(fields):
    recipe = Recipe("test/steps", model="mlp", optimizer=Nesterov(learning_rate=0.05), **fields).resolved()
    plain = our_steps(build_optimizer(recipe.override(l2=0.0, lookahead=None, rate_multipliers={})))
    built, unbuilt = (our_steps(build_optimizer(recipe), build=build) for build in (True, False))
    np.testing.assert_array_equal(unbuilt, built)
    assert np.abs(built - plain).max() > 1e-4


def test_l1_adds_the_sign_of_each_weight():
    recipe = Recipe("test/l1", model="mlp", optimizer=SGD(learning_rate=0.5), l1=0.1).resolved()
    variable = keras.Variable(np.array([2.0, -3.0, 0.0], "float32"))
    optimizer = build_optimizer(recipe)
    optimizer.build([variable])
    optimizer.apply([keras.ops.zeros(3)], [variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [1.95, -2.95, 0.0], rtol=1e-6)


def test_averages_are_swapped_in_and_out_and_survive_the_end_of_fit():
    recipe = Recipe("test/ema", model="mlp", optimizer=SGD(learning_rate=1.0), ema=0.5).resolved()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    optimizer = build_optimizer(recipe)
    model.compile(optimizer, loss="mse")
    x = np.ones((4, 1), "float32")
    model.fit(x, np.zeros((4, 1), "float32"), batch_size=1, epochs=1, verbose=0)  # w: 1, -1, 1, -1, 1
    kernel = model.layers[0].kernel
    raw = keras.ops.convert_to_numpy(kernel).item()
    assert raw == 1.0
    with averaged(optimizer):
        # The average starts at the first step's result: -1, then (-1+1)/2, (0-1)/2, (-0.5+1)/2.
        assert keras.ops.convert_to_numpy(kernel).item() == 0.25
    assert keras.ops.convert_to_numpy(kernel).item() == raw
