"""Lookahead equals an independent NumPy computation, and the decay of some variables has a separate factor."""

import keras
import numpy as np
import pytest

from kzoo.recipes import Recipe
from kzoo.recipes.settings import Lookahead, Nesterov, RateMultiplier
from kzoo.training.optimization.optimizers import averaged, build_optimizer

STEPS = 12
PATHS = ("free/kernel", "late/bias", "still/bias")


def trained(fields, gradients, starts):
    """Each variable's values after every step: {path: (STEPS, *shape)}."""
    recipe = Recipe("test/lookahead", model="mlp", epochs=STEPS // 3, **fields).resolved()
    made = {}
    for path, start in starts.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made[path] = keras.Variable(start, name=name)
    optimizer = build_optimizer(recipe, 3)
    optimizer.build(list(made.values()))
    seen = {path: [] for path in made}
    for step in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(gradients[p][step]) for p in made], list(made.values()))
        for path, variable in made.items():
            seen[path].append(np.array(keras.ops.convert_to_numpy(variable)))
    return {path: np.stack(values) for path, values in seen.items()}


def drawn(paths):
    rng = np.random.default_rng(0)
    starts = {path: rng.normal(size=(2, 3)).astype("float32") for path in paths}
    return starts, {path: rng.normal(size=(STEPS, 2, 3)).astype("float32") for path in paths}


def numpy_nesterov(start, gradients, rate, *, momentum=0.85, decay=0.0, lookahead=None, from_step=0):
    """All steps of one variable in float64, with PyTorch's formulas: decay enters the gradient."""
    w, slow, velocity, seen = start.astype(float), start.astype(float), 0.0, []
    for step, gradient in enumerate(gradients, 1):
        if step > from_step:
            full = gradient + decay * w
            velocity = momentum * velocity + full
            w = w - rate * (full + momentum * velocity)
            if lookahead is not None and step % lookahead.every == 0:
                keep = lookahead.keep * (step / STEPS) ** lookahead.power
                w = slow = keep * slow + (1 - keep) * w
        seen.append(w)
    return np.stack(seen)


@pytest.mark.backend
@pytest.mark.parametrize("power", [0.0, 3.0])
@pytest.mark.parametrize("every", [1, 5])
def test_lookahead_equals_numpy(every, power):
    setting = Lookahead(every=every, keep=0.7, power=power)
    starts, gradients = drawn(PATHS)
    multipliers = {"late/bias": RateMultiplier(first_epoch=2), "still/bias": 0}
    optimizer = Nesterov(learning_rate=0.1, momentum=0.0)
    found = trained({"lookahead": setting, "optimizer": optimizer, "rate_multipliers": multipliers}, gradients, starts)
    for path, from_step in (("free/kernel", 0), ("late/bias", 3), ("still/bias", STEPS)):
        wanted = numpy_nesterov(
            starts[path], gradients[path], 0.1, momentum=0.0, lookahead=setting, from_step=from_step
        )
        np.testing.assert_allclose(found[path], wanted, rtol=1e-5, atol=1e-6, err_msg=path)
    assert (found["still/bias"] == starts["still/bias"]).all()


@pytest.mark.backend
def test_averaged_weights_are_those_that_lookahead_leaves():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=3).astype("float32"), rng.normal(size=(STEPS, 3)).astype("float32")
    recipe = Recipe("test/both", model="mlp", epochs=STEPS, ema=0.5, lookahead={"every": 1, "keep": 0.5}).resolved()
    optimizer, variable = build_optimizer(recipe), keras.Variable(start)
    averages = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        value = np.array(keras.ops.convert_to_numpy(variable))
        averages.append(value if not averages else 0.5 * averages[-1] + 0.5 * value)  # the first step fills it
    with averaged(optimizer):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), averages[-1], rtol=1e-5)


def test_momentum_goes_on_over_a_return():
    setting = Lookahead(every=4, keep=0.5)
    starts, gradients = drawn(PATHS[:1])
    found = trained({"lookahead": setting, "optimizer": Nesterov(learning_rate=0.1, momentum=0.85)}, gradients, starts)
    (path,) = starts
    wanted = numpy_nesterov(starts[path], gradients[path], 0.1, lookahead=setting)
    np.testing.assert_allclose(found[path], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
def test_penalties_have_a_factor_of_their_own():
    paths = ("usual/kernel", "fast/bias", "none/bias")
    starts, gradients = drawn(paths)
    multipliers = {"fast/*": RateMultiplier(factor=64, decay=1 / 64), "none/*": RateMultiplier(decay=0)}
    fields = {"l2": 0.3, "optimizer": Nesterov(learning_rate=0.01, momentum=0.85), "rate_multipliers": multipliers}
    found = trained(fields, gradients, starts)
    for path, rate, decay in zip(paths, (0.01, 0.64, 0.01), (0.3, 0.3 / 64, 0), strict=True):
        wanted = numpy_nesterov(starts[path], gradients[path], rate, decay=decay)
        np.testing.assert_allclose(found[path], wanted, rtol=2e-4, atol=1e-5, err_msg=path)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({"optimizer": "sgd", "weight_decay": 0.1}, (0.001, 0.002, 0.0)),
        ({"optimizer": "sgd", "l1": 0.1}, (0.001, 0.002, 0.0)),
        ({"optimizer": {"kind": "muon", "sgd_rate": 0.5, "sgd_momentum": 0.0, "sgd_decay": 0.001}}, (0.001, 0.0005, 0)),
    ],
    ids=["decoupled", "l1", "muon"],
)
def test_every_penalty_knows_that_factor(fields, shares):
    starts = {f"{layer}/bias": np.ones(1, "float32") for layer in ("usual", "scaled", "none")}
    multipliers = {"scaled/*": RateMultiplier(factor=4, decay=0.5), "none/*": RateMultiplier(decay=0)}
    found = trained({**fields, "rate_multipliers": multipliers}, dict.fromkeys(starts, np.zeros((STEPS, 1))), starts)
    np.testing.assert_allclose([1 - found[path][0].item() for path in starts], shares, rtol=1e-3, atol=1e-9)
