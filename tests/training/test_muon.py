"""Muon's update equals an independent NumPy computation; multipliers, rates by step and clipping follow the recipe."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.recipes.settings import SGD, Linear, Muon, RateMultiplier
from kzoo.training.optimization.muon import orthogonalized
from kzoo.training.optimization.optimizers import Multipliers, build_optimizer

SHAPES = {"conv/kernel": (3, 3, 4, 6), "tall/kernel": (12, 5), "conv/bias": (6,), "logits/kernel": (6, 3)}
STEPS = 6


def numpy_orthogonalized(matrix, steps):
    """The quintic iteration, applied only to the singular values."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.sqrt((matrix**2).sum())
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ v


def numpy_muon(starts, gradients, rates, setting, factors):
    """All steps, variable by variable, in float64; `factors` multiply rates, but do not change the decay."""
    results = {}
    for path, start in starts.items():
        w, moment = start.astype(float), 0.0
        kernel = path in ("conv/kernel", "tall/kernel")
        for gradient, rate in zip(gradients[path], rates, strict=True):
            if kernel:
                moment = setting.momentum * moment + gradient
                ahead = (gradient + setting.momentum * moment).reshape(-1, w.shape[-1])
                w = w * np.sqrt(w.shape[-1]) / np.linalg.norm(w)
                w = w - rate * numpy_orthogonalized(ahead, setting.iterations).reshape(w.shape)
            else:
                share, peak = rate / setting.learning_rate, setting.sgd_rate * factors.get(path, 1)
                decayed = gradient + setting.sgd_decay / peak * w
                moment = setting.sgd_momentum * moment + decayed
                w = w - share * peak * (decayed + setting.sgd_momentum * moment)
        results[path] = w
    return results


def variables(rng):
    starts = {path: rng.normal(size=shape).astype("float32") for path, shape in SHAPES.items()}
    made = {}
    for path, start in starts.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made[path] = keras.Variable(start, name=name)
    return starts, made


@pytest.mark.backend
@pytest.mark.parametrize("factors", [{}, {"logits/kernel": 12.5}], ids=["one rate", "a faster classifier"])
def test_muon_equals_numpy(factors):
    rng = np.random.default_rng(0)
    starts, made = variables(rng)
    gradients = {p: rng.normal(size=(STEPS, *shape)).astype("float32") for p, shape in SHAPES.items()}
    setting = Muon(learning_rate=0.1, sgd_rate=0.05, sgd_decay=0.01)
    fields = {"optimizer": setting, "schedule": Linear(), "rate_multipliers": factors}
    recipe = Recipe("test/muon", model="mlp", epochs=2, **fields).resolved()
    optimizer = build_optimizer(recipe, STEPS // 2)
    optimizer.build(list(made.values()))
    for step in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(gradients[p][step]) for p in made], list(made.values()))
    wanted = numpy_muon(starts, gradients, 0.1 * (1 - np.arange(STEPS) / STEPS), setting, factors)
    for path, variable in made.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), wanted[path], rtol=2e-4, atol=2e-5)


def test_orthogonalizing_brings_singular_values_near_one():
    matrix = np.random.default_rng(1).normal(size=(40, 9)).astype("float32") * 1e-3
    singular = np.linalg.svd(keras.ops.convert_to_numpy(orthogonalized(matrix, 5)), compute_uv=False)
    assert singular.min() > 0.5
    assert singular.max() < 1.5


def test_a_kernel_of_zeros_moves():
    kernel = keras.Variable(np.zeros((3, 3, 2, 4), "float32"))
    optimizer = build_optimizer(Recipe("test/zeros", model="mlp", optimizer="muon").resolved())
    optimizer.build([kernel])
    optimizer.apply([keras.ops.ones(kernel.shape)], [kernel])
    values = keras.ops.convert_to_numpy(kernel)
    assert np.isfinite(values).all()
    assert values.any()


def stepped(fields, steps=4, epoch=2):
    """The values of two weights, which start at 0, after each step with gradient 1."""
    recipe = Recipe("test/steps", model="mlp", optimizer=SGD(learning_rate=0.5), **fields).resolved()
    made = []
    for layer in ("first", "second"):
        with keras.name_scope(layer):
            made.append(keras.Variable(np.zeros(1, "float32"), name="bias"))
    optimizer = build_optimizer(recipe, epoch)
    optimizer.build(made)
    values = []
    for _ in range(steps):
        optimizer.apply([keras.ops.ones(1), keras.ops.ones(1)], made)
        values.append([keras.ops.convert_to_numpy(v).item() for v in made])
    return np.array(values).T


@pytest.mark.backend
def test_rate_multipliers():
    first, second = stepped({"rate_multipliers": {"second/*": 4}})
    np.testing.assert_allclose(first, -0.5 * np.arange(1, 5))
    np.testing.assert_allclose(second, 4 * first)
    window = RateMultiplier(factor=2, first_epoch=2, last_epoch=2)
    first, second = stepped({"rate_multipliers": {"second/bias": window}, "epochs": 3}, steps=6)
    np.testing.assert_allclose(second, [0, 0, -1, -2, -2, -2])
    with pytest.raises(
        InputError, match=r"'third/\*'.* matches no trained variable; there are first/bias, second/bias"
    ):
        stepped({"rate_multipliers": {"third/*": 1}})
    with pytest.raises(InputError, match="factor 0 for every trained variable: nothing would be trained"):
        stepped({"rate_multipliers": {"*": 0}})


def test_a_wrong_wildcard_is_one_short_line():
    variables = [SimpleNamespace(path=f"stage{i}_conv/kernel") for i in range(100)]
    with pytest.raises(InputError) as caught:
        Multipliers({"*bias": RateMultiplier()}, 1).match(variables)
    assert str(caught.value).endswith("stage9_conv/kernel, ..., stage99_conv/kernel")


def test_a_variable_out_of_its_epochs_has_no_momentum_left():
    recipe = Recipe(
        "test/still", model="mlp", optimizer="momentum", rate_multipliers={"*": RateMultiplier(last_epoch=1)}
    ).resolved()
    variable = keras.Variable(np.zeros(1, "float32"), name="w")
    optimizer = build_optimizer(recipe, 1)
    optimizer.build([variable])
    seen = []
    for _ in range(3):
        optimizer.apply([keras.ops.ones(1)], [variable])
        seen.append(keras.ops.convert_to_numpy(variable).item())
    assert seen[0] != 0
    assert seen[1] == seen[2] == seen[0]


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["muon", "adamw", "momentum", "keras.optimizers:SGD"])
def test_a_factor_of_zero_keeps_variables_as_they_are(kind):
    fields = {"weight_decay": 0.1, "rate_multipliers": {"still/*": 0, "late/*": RateMultiplier(first_epoch=2)}}
    recipe = Recipe("test/zero", model="mlp", optimizer=kind, **fields).resolved()
    made = {}
    for layer in ("still", "late", "moves"):
        for name, shape in {"kernel": (3, 3, 2, 2), "bias": (2,)}.items():
            with keras.name_scope(layer):
                made[f"{layer}/{name}"] = keras.Variable(np.ones(shape, "float32"), name=name)
    optimizer = build_optimizer(recipe, 1)
    optimizer.build(list(made.values()))
    optimizer.apply([keras.ops.ones(variable.shape) for variable in made.values()], list(made.values()))
    for path, variable in made.items():
        assert (keras.ops.convert_to_numpy(variable) == 1).all() != path.startswith("moves"), path


@pytest.mark.backend
def test_decoupled_decay_follows_the_multiplied_rate():
    fields = {"weight_decay": 0.1, "rate_multipliers": {"second/bias": 4}, "optimizer": "sgd"}
    recipe = Recipe("test/decay", model="mlp", **fields).resolved()
    made = []
    for layer in ("first", "second"):
        with keras.name_scope(layer):
            made.append(keras.Variable(np.ones(1, "float32"), name="bias"))
    optimizer = build_optimizer(recipe)
    optimizer.build(made)
    optimizer.apply([keras.ops.zeros(1), keras.ops.zeros(1)], made)
    shrunk = [1 - keras.ops.convert_to_numpy(variable).item() for variable in made]
    np.testing.assert_allclose(shrunk, [0.001, 0.004], rtol=1e-3)


def test_gradients_are_clipped_together():
    (first, second) = stepped({"clip_norm": 0.1}, steps=1)
    np.testing.assert_allclose([*first, *second], -0.5 * 0.1 / np.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize("kind", ["nadam", "lion"])
def test_other_optimizers_descend(kind):
    recipe = Recipe("test/descend", model="mlp", optimizer={"kind": kind, "learning_rate": 0.05}).resolved()
    variable = keras.Variable(np.array([1.0, -2.0], "float32"), name="w")
    optimizer = build_optimizer(recipe)
    optimizer.build([variable])
    for _ in range(100):
        optimizer.apply([2 * keras.ops.convert_to_tensor(variable)], [variable])
    assert np.abs(keras.ops.convert_to_numpy(variable)).max() < 0.2


@pytest.mark.backend
@pytest.mark.parametrize(
    "kind", ["adam", "adamw", "nadam", "lion", "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta"]
)
def test_a_multiplier_of_one_changes_nothing(kind):
    def steps(**fields):
        optimizer = build_optimizer(Recipe("test/one", model="mlp", optimizer=kind, **fields).resolved(), 10)
        variable = keras.Variable(np.array([1.0, 2.0, 3.0], "float32"), name="kernel")
        optimizer.build([variable])
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(np.array([0.1, -0.2, 0.3], "float32"))], [variable])
        return keras.ops.convert_to_numpy(variable)

    np.testing.assert_allclose(steps(rate_multipliers={"*": 1.0}), steps(), rtol=1e-6)


def test_with_a_frozen_classifier_all_other_kernels_are_matrices():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(keras.layers.Dense(6, name="hidden")(inputs)))
    for frozen, kernels in ((False, {0}), (True, {0})):
        model.get_layer("logits").trainable = not frozen
        optimizer = build_optimizer(Recipe("test/frozen", model="mlp", optimizer="muon").resolved(), 10)
        optimizer.see(model)
        optimizer.build(model.trainable_variables)
        assert model.trainable_variables[0].path == "hidden/kernel"
        assert optimizer._kernels == kernels


def accumulating(learning_rate):
    return keras.optimizers.SGD(learning_rate, gradient_accumulation_steps=2)


def test_epochs_of_multipliers_count_all_steps_of_an_optimizer_that_accumulates_gradients():
    fields = {"optimizer": f"{__name__}:accumulating", "rate_multipliers": {"*": {"last_epoch": 1}}, "epochs": 4}
    optimizer = build_optimizer(Recipe("test/accumulates", model="mlp", **fields).resolved(), 4)
    variable = keras.Variable(np.zeros(1, "float32"), name="kernel")
    optimizer.build([variable])
    values = []
    for _ in range(16):
        optimizer.apply([keras.ops.ones(1)], [variable])
        values.append(float(keras.ops.convert_to_numpy(variable)[0]))
    assert values[3] < values[1] < 0
    assert values[3] == values[-1]  # it moves in the first epoch alone
