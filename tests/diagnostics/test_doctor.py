"""The doctor's verdicts: report b's networks, planted faults, healthy networks, and bad input."""

import json
import re

import keras
import numpy as np
import pytest

import kzoo
from benchmarks.planted_faults import FAULTS, healthy, plant
from kzoo.data.loading import load
from kzoo.diagnostics.doctor.labels import check_labels
from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note, digits
from kzoo.diagnostics.doctor.signal import check_gradients
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.doctor.weights import check_batch_norm, check_finite
from kzoo.diagnostics.random_images import has_input_scaling, random_images
from kzoo.errors import InputError

pytestmark = pytest.mark.usefixtures("eagerly")

# Seeds with a small base network.
SEEDS = {
    "sigmoid stack": 0,
    "learning rate x1000": 0,
    "dead ReLU by bias -10": 3,
    "labels shuffled": 0,
    "inputs x255": 0,
    "inputs /255": 1,
    "BatchNorm momentum 1.0": 5,
    "zero-initialised layer": 1,
    "duplicated class index": 3,
}
LONG = ("BatchNorm momentum 1.0",)
OF_LABELS = ("labels shuffled", "duplicated class index")
FEW = 80
"""Too few images for the checks of the labels, which cost more than the others."""
FLOW = {"vanishing gradients", "exploding gradients"}


def values(model):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[pytest.mark.slow, pytest.mark.representative] if fault in LONG else [])
        for fault in FAULTS
    ],
)
def test_planted_fault_is_found(fault):
    case = plant(fault, SEEDS[fault])
    if fault not in OF_LABELS:
        case.images, case.labels = case.images[:FEW], case.labels[:FEW]
    before = values(case.model)
    diagnosis = case.examine()
    assert set(case.kinds) & set(diagnosis.kinds), str(diagnosis)
    for old, new in zip(before, values(case.model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_of_other_severity_are_found(fault):
    hits = []
    for seed in range(300, 305):
        case = plant(fault, seed)
        hits.append(bool(set(case.kinds) & set(case.examine(seed).kinds)))
    assert sum(hits) >= 4


def test_verdicts_on_vgg08_and_vgg38():
    assert not kzoo.doctor("vgg08", seed=5).findings
    (finding,) = kzoo.doctor("vgg38", seed=5).findings
    assert finding.kind == "vanishing gradients"
    assert finding.values["first_to_last"] < 1e-10
    assert 0.3 < finding.values["factor_per_layer"] < 0.7
    assert finding.layers[0] == "entry_conv"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["vgg38-bn", "vgg38-res", "vgg38-bn-res", "vgg08-bn"])
def test_verdicts_on_the_networks_that_train(name, seed):
    assert kzoo.doctor(name, seed=seed).healthy


def test_exploding_gradients():
    keras.utils.set_random_seed(0)
    wide = keras.initializers.VarianceScaling
    x = inputs = keras.Input((8, 8, 1))
    for _ in range(8):
        x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer=wide(60.0))(x)
    x = keras.layers.Dense(5, kernel_initializer=wide(60.0))(keras.layers.GlobalAveragePooling2D()(x))
    diagnosis = kzoo.doctor(keras.Model(inputs, x))
    assert diagnosis.kinds == ("exploding gradients",)


def test_healthy_network_and_what_was_checked():
    diagnosis = healthy(2, ("lenet2-average",)).examine()
    assert diagnosis.healthy, str(diagnosis)
    assert {"learning rate", "dead units", "inputs out of range"} <= {note.check for note in diagnosis.fine}
    assert {note.check for note in diagnosis.unchecked} == {"loss not moving", "train/validation gap"}
    assert json.loads(json.dumps(diagnosis.to_dict()))["healthy"] is True


def test_nested_model_and_one_without_shape():
    keras.utils.set_random_seed(0)
    inner = kzoo.LeNet(include_top=False, pooling="avg", input_shape=(8, 8, 1), mean=0.3, std=0.4)
    inputs = keras.Input((8, 8, 1))
    nested = keras.Model(inputs, keras.layers.Dense(10)(inner(inputs)))
    case = healthy(0)
    nested.get_layer(inner.name).get_layer("block2_conv").kernel.assign(np.zeros((3, 3, 32, 32)))
    diagnosis = kzoo.doctor(nested, images=case.images, labels=case.labels)
    assert diagnosis.findings[0].kind == "constant layer"
    assert diagnosis.findings[0].layers == (f"{inner.name}/block2_conv",)


def test_subclassed_model():
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            sigmoids = [keras.layers.Dense(10, "sigmoid") for _ in range(9)]
            self.parts = [keras.layers.Flatten(), *sigmoids, keras.layers.Dense(10)]

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

    case, model = healthy(0), Custom()
    model(case.images[:1])
    images = case.images / 255.0
    assert "vanishing gradients" in kzoo.doctor(model, images=images, labels=case.labels).kinds
    with pytest.raises(InputError, match="give images"):
        kzoo.doctor(model)


def test_layers_that_are_not_used_are_left_out():
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.spare, self.relu = keras.layers.Dense(3, name="spare"), keras.layers.ReLU()
            self.flat, self.used = keras.layers.Flatten(), keras.layers.Dense(10, name="used")

        def build(self, shape):
            self.spare.build((None, 8))
            self.used.build((None, 64))

        def call(self, x):
            return self.used(self.flat(x))

    case, model = healthy(0), Custom()
    model(case.images[:1])
    notes = {note.check: note.text for note in kzoo.doctor(model, images=case.images / 255.0).fine}
    assert "at used, the first layer with weights" in notes["inputs out of range"]
    assert "no ReLU" in notes["dead units"]


@pytest.mark.parametrize("name", ["lenet1-max", "fastnet-s"])
def test_the_first_layer_of_a_frozen_backbone_sees_the_inputs(name):
    options = {"widths": (8,)} if name == "fastnet-s" else {}
    options |= {"input_shape": (8, 8, 1), "classes": 10, "mean": (0.3,), "std": (0.4,)}
    case, model = healthy(0), kzoo.create_model(name, **options)
    for layer in model.layers:
        layer.trainable = layer.name == "logits"
    notes = {note.check: note.text for note in kzoo.doctor(model, images=case.images, labels=case.labels).fine}
    first = {"lenet1-max": "block1_conv", "fastnet-s": "stage1_conv1"}[name]
    assert f"at {first}, the first layer with weights" in notes["inputs out of range"]


def test_a_scaling_behind_a_frozen_convolution_is_not_the_inputs():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, trainable=False),
            keras.layers.Rescaling(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    assert not has_input_scaling(model)
    assert random_images(model, 2).min() < 0


class Token(keras.layers.Layer):
    """Adds a position of weights that start at zero, as a vision transformer does."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="zeros", name="token")

    def call(self, x):
        token = keras.ops.broadcast_to(self.token, (keras.ops.shape(x)[0], 1, x.shape[-1]))
        return keras.ops.concatenate([token, x], axis=1)


@pytest.mark.usefixtures("eagerly_once")
def test_weights_at_zero_whose_units_get_different_gradients_are_no_fault():
    x = keras.Input((8, 8, 1))
    y = Token()(keras.layers.Reshape((16, 8))(keras.layers.Conv2D(8, 2, strides=2)(keras.layers.Rescaling(1 / 16)(x))))
    y = keras.layers.MultiHeadAttention(2, 4)(y, y)
    model, case = keras.Model(x, keras.layers.Dense(10)(y[:, 0])), healthy(0)
    diagnosis = kzoo.doctor(model, images=case.images, labels=case.labels)
    assert "constant layer" not in {finding.kind for finding in diagnosis.findings}


@pytest.mark.usefixtures("eagerly_once")
def test_the_input_of_a_dead_relu_is_its_own_branchs():
    x = keras.Input((8, 8, 1))
    convolved = [keras.layers.Conv2D(4, 3, name=f"conv_{name}")(keras.layers.Rescaling(1 / 16)(x)) for name in "ab"]
    rectified = [keras.layers.ReLU(name=f"relu_{name}")(y) for name, y in zip("ab", convolved, strict=True)]
    y = keras.layers.Flatten()(keras.layers.Concatenate()(rectified))
    model, case = keras.Model(x, keras.layers.Dense(10)(y)), healthy(0)
    model.get_layer("conv_b").bias.assign([-50.0] * 4)
    (finding,) = kzoo.doctor(model, images=case.images, labels=case.labels).findings
    assert finding.layers == ("relu_b",)
    mean = float(re.search(r"its input has mean (-?[\d.]+) and", finding.evidence)[1])
    assert mean == pytest.approx(-50, abs=2)


def test_gradients_that_are_not_finite_are_a_finding():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, name="first")(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.ops.sqrt(keras.ops.square(x)))  # the slope at 0 is infinite
    model = keras.Model(inputs, keras.layers.Dense(10, name="last")(x))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype("float32")
    images[:, :5] = 0
    (finding,) = kzoo.doctor(model, images=images, labels=np.arange(40) % 10).findings
    assert (finding.kind, finding.layers) == ("loss not finite", ("first",))
    assert "not all gradients of first are finite" in finding.evidence


@pytest.mark.backend
@pytest.mark.parametrize("add", [lambda x, y: keras.layers.Add()([x, y]), lambda x, y: x + y])
def test_last_kernel_of_a_residual_branch_may_start_at_zero(add):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = add(x, keras.layers.Conv2D(4, 3, padding="same", name="last")(branch))
    x = keras.layers.Dense(3, kernel_initializer="zeros")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    for name, reported in (("last", False), ("first", True)):
        layer = model.get_layer(name)
        layer.kernel.assign(np.zeros(layer.kernel.shape))
        assert ("constant layer" in kzoo.doctor(model).kinds) == reported


@pytest.mark.parametrize(
    ("depth", "activation", "rate", "kinds"),
    [
        (1, "relu", 1e-3, ()),
        (3, "relu", 1e-3, ()),
        (0, "relu", 1e-3, ()),  # no kernel but the zero one
        (1, "relu", 1e6, ("learning rate too high",)),
        (7, "sigmoid", 1e-3, ("vanishing gradients",)),
    ],
)
def test_a_classifier_that_starts_at_zero_is_no_fault_and_hides_none(depth, activation, rate, kinds):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 16)(x)
    for _ in range(depth):
        x = keras.layers.Conv2D(8, 3, padding="same", activation=activation)(x)
    model = keras.Model(inputs, keras.layers.Dense(10, kernel_initializer="zeros")(keras.layers.Flatten()(x)))
    model.compile(optimizer=keras.optimizers.SGD(rate))
    images, labels = load("digits").images[:FEW], load("digits").labels[:FEW]
    diagnosis = kzoo.doctor(model, images=images, labels=labels)
    assert diagnosis.kinds == kinds, str(diagnosis)
    assert not np.any(model.get_weights()[-2])


def test_gradients_that_a_zero_branch_stops_are_not_judged():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    branch = keras.layers.Conv2D(3, 3, padding="same", name="first")(inputs)
    branch = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros", name="end")(branch)
    x = keras.layers.GlobalAveragePooling2D()(inputs + branch)
    diagnosis = kzoo.doctor(keras.Model(inputs, keras.layers.Dense(3)(x)))
    assert diagnosis.healthy, str(diagnosis)
    reasons = [note.text for note in diagnosis.unchecked if note.check == "vanishing or exploding gradients"]
    assert reasons == ["no gradient reaches first before the first step: the kernel of end starts at zero"]


@pytest.mark.slow
def test_weights_that_may_start_at_zero_are_left_alone():
    case = healthy(1, ("resnet10",))
    model = case.model
    model.get_layer("logits").kernel.assign(np.zeros(model.get_layer("logits").kernel.shape))
    model.get_layer("stage2_block1_conv2").kernel.assign(np.zeros(model.get_layer("stage2_block1_conv2").kernel.shape))
    assert "constant layer" not in kzoo.doctor(model).kinds


def test_weights_that_are_not_finite():
    model = healthy(1, ("mlp",)).model
    kernel = np.array(keras.ops.convert_to_numpy(model.get_layer("hidden2").kernel))
    kernel[0, 0] = np.nan
    model.get_layer("hidden2").kernel.assign(kernel)
    diagnosis = kzoo.doctor(model)
    assert diagnosis.findings[0].kind == "loss not finite"
    assert diagnosis.findings[0].layers == ("hidden2",)


def test_compiled_model_is_tried_with_its_own_optimizer():
    case = healthy(1, ("lenet1-max",))
    for rate, kinds in ((0.01, ()), (1e-9, ("learning rate too low",)), (1e5, ("learning rate too high",))):
        case.model.compile(optimizer=keras.optimizers.SGD(rate), loss="sparse_categorical_crossentropy")
        diagnosis = kzoo.doctor(case.model, images=case.images[:FEW], labels=case.labels[:FEW])
        assert diagnosis.kinds == kinds, rate
    case.model.compile(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01)))  # of mixed_float16
    assert kzoo.doctor(case.model, images=case.images[:FEW], labels=case.labels[:FEW]).healthy


@pytest.mark.slow
@pytest.mark.representative
def test_rates_of_a_warm_up_and_accumulated_gradients():
    case, model = healthy(0), keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    schedules = keras.optimizers.schedules

    def rate(optimizer):
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.save("compiled.keras")  # a file brings its optimizer as well
        texts = []
        for target in (model, "compiled.keras"):
            diagnosis = kzoo.doctor(target, images=case.images / 16.0, labels=case.labels)
            assert not [finding for finding in diagnosis.findings if "learning rate" in finding.kind]
            texts += [note.text for note in diagnosis.fine if note.check == "learning rate"]
        assert texts[0] == texts[1]
        return texts[0]

    warm_up = schedules.CosineDecay(0.0, 1000, warmup_target=1e-3, warmup_steps=500)
    assert rate(keras.optimizers.Adam(warm_up)).startswith("at 2e-06 (Adam)")
    assert rate(keras.optimizers.Adam(schedules.ExponentialDecay(1e-3, 10, 0.5))).startswith("at 0.001 (Adam)")
    alone, accumulated = (rate(keras.optimizers.Adam(1e-3, gradient_accumulation_steps=n)) for n in (None, 4))
    assert alone.partition(";")[0] == accumulated.partition(";")[0]


def test_batch_norm_settings_and_averages():
    case = healthy(0, ("vgg08-bn",))
    case.model = kzoo.create_model("vgg08-bn", blocks=[0], filters=8, input_shape=(8, 8, 1), classes=10)
    arrays = {"images": case.images[:FEW], "labels": case.labels[:FEW]}
    layer = case.model.get_layer("entry_conv_bn")
    layer.momentum = 0.1
    finding = kzoo.doctor(case.model, **arrays).findings[0]
    assert (finding.kind, finding.layers) == ("BatchNorm statistics", ("entry_conv_bn",))
    assert "0.9" in finding.suggestion
    layer.momentum = 0.9
    layer.trainable = False
    assert "Frozen" in kzoo.doctor(case.model, **arrays).findings[0].evidence
    layer.trainable = True
    layer.moving_variance.assign(-np.ones(layer.moving_variance.shape))
    assert "below zero" in kzoo.doctor(case.model, **arrays).findings[0].evidence
    layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
    for one in case.model.layers:
        if isinstance(one, keras.layers.BatchNormalization):
            one.beta.assign(np.full(one.beta.shape, 0.1))  # trained, but with the initial averages
    assert "still have their initial values" in kzoo.doctor(case.model, **arrays).findings[0].evidence


@pytest.mark.parametrize(
    ("momentum", "evidence", "suggestion"),
    [
        (1.0, "is 1: they never move from mean 0 and variance 1", "0.99"),
        (0.9999, "is 0.9999: they need about 10,000 steps to follow the data", "0.99"),
        (0.9998, None, None),
        (0.5, None, None),
        (0.25, "is 0.25: their moving averages remember about 1.3 batches", "set momentum to 0.75: PyTorch's"),
    ],
)
def test_momentum(momentum, evidence, suggestion):
    norms = [keras.layers.BatchNormalization(momentum=m) for m in (0.9, momentum)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *norms, keras.layers.Flatten(), keras.layers.Dense(3)])
    diagnosis = Diagnosis("net")
    check_batch_norm(Subject("net", model, steps=0), diagnosis)
    if evidence is None:
        assert diagnosis.healthy
        assert diagnosis.fine[0].text.startswith("momentum is fine (0.9); the averages are still those of an untrained")
        return
    (finding,) = diagnosis.findings
    assert finding.layers == (norms[1].name,)
    assert finding.values == {"layers": 1, "momentum": momentum}
    assert evidence in finding.evidence
    assert "In 1 of 2 BatchNorm layers" in finding.evidence
    assert suggestion in finding.suggestion


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_arrays_that_are_not_finite_are_named(count):
    layers = [keras.layers.Dense(2, name=f"dense{i}") for i in range(2)]
    model, diagnosis = keras.Sequential([keras.Input((3,)), *layers]), Diagnosis("net")
    for variable in model.weights[:count]:
        variable.assign(np.where(np.arange(variable.shape[-1]) == 1, np.inf, 0) * np.ones(variable.shape))
    assert check_finite(Subject("net", model), diagnosis) == (count == 0)
    if count:
        (finding,) = diagnosis.findings
        names = ["dense0 (kernel)", "dense0 (bias)", "dense1 (kernel)"][:count]
        listed = ", ".join(names) + (" ..." if count == 4 else "")
        assert finding.evidence == f"Values that are not finite in {count} of 4 arrays of weights: {listed}."
        assert finding.layers == ("dense0", "dense1")[: 1 if count < 3 else 2]
        assert len(finding.values["weights"]) == count
    else:
        assert diagnosis.healthy


def test_gradients_that_are_all_tiny():
    keras.utils.set_random_seed(0)
    flat = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    dense = [keras.layers.Dense(4, name="first"), keras.layers.Dense(3, name="last")]
    model = keras.Sequential([*flat, *dense, keras.layers.Rescaling(1e-9), keras.layers.Softmax()])
    diagnosis = Diagnosis("net")
    assert not check_gradients(Subject("net", model), diagnosis)
    (finding,) = diagnosis.findings
    first, last = finding.values["mean_abs_gradient"]
    assert finding.values["layers"] == ["first", "last"]
    assert finding.values["first_to_last"] == pytest.approx(first / last)
    relative = first / np.abs(model.get_layer("first").get_weights()[0]).mean()
    assert finding.values["gradient_to_weight"] == pytest.approx(relative)
    assert f"all are tiny (at first, {digits(relative)} times the weights)" in finding.evidence


def test_values_have_three_digits_also_where_rounding_makes_a_thousand_of_them():
    values = [0, 0.00012345, 0.5, 999.4, 999.6, 1000, 1234.5, -999.9, 1.2e7]
    assert [*map(digits, values)] == ["0", "0.000123", "0.5", "999", "1,000", "1,000", "1,230", "-1,000", "1.2e+07"]


def test_data_that_the_linear_classifier_cannot_take_ends_no_examination():
    data = load("digits")
    images, labels = data.images[:200].astype("float32") / 255, data.labels[:200]
    images[-1, 0, 0] = np.nan  # not in the probe batch
    L = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(4, 3), L.PReLU(), L.Flatten(), L.Dense(10)])
    diagnosis = kzoo.doctor(model, images=images, labels=labels)
    assert diagnosis.kinds == ("inputs out of range",)  # a PReLU's slopes can start at zero
    assert Note("labels not explained by pixels", "the pixels are not finite") in diagnosis.unchecked
    model = keras.Sequential([keras.Input((64,)), L.Dense(10)])
    diagnosis = kzoo.doctor(model, images=np.nan_to_num(images).reshape(200, 64), labels=labels)
    assert diagnosis.healthy
    assert "needs images (height, width, channels), not (64,)" in [note.text for note in diagnosis.unchecked]


def test_labels_need_enough_images():
    data = load("digits")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    for count in (199, 200):
        diagnosis = Diagnosis("net")
        check_labels(Subject("net", model, images=data.images[:count], labels=data.labels[:count]), diagnosis)
        unchecked = [(note.check, note.text) for note in diagnosis.unchecked]
        assert not diagnosis.findings
        if count == 199:
            text = "needs 200 images or more, there are 199"
            assert unchecked == [("labels not explained by pixels", text), ("indistinguishable classes", text)]
        else:
            assert not unchecked
            assert diagnosis.fine[1].text.startswith("a linear classifier finds the class of ")
            assert "of 200 images it was not fitted to" in diagnosis.fine[1].text


def test_diagnosis_as_text():
    finding = Finding("dead units", tuple(f"layer{i}" for i in range(5)), "Half are zero.", {}, "start biases at zero.")
    notes = [Note("constant layer", "none"), Note("class never occurs", "all occur"), Note("dead units", "none")]
    text = str(Diagnosis("net", [finding, finding], notes, notes[:2]))
    assert [line for line in text.splitlines() if line] == [
        "net: 2 findings",
        "1. Dead units",
        "   Seen:   Half are zero.",
        "   Layers: layer0, layer1, layer2 ... layer4 (5 in all)",
        "   Try:    Start biases at zero.",
        "2. Dead units",
        "   Seen:   Half are zero.",
        "   Layers: layer0, layer1, layer2 ... layer4 (5 in all)",
        "   Try:    Start biases at zero.",
        "Fine:",
        "  - constant layer, dead units: none",
        "  - class never occurs: all occur",
        "Not checked:",
        "  - constant layer: none",
        "  - class never occurs: all occur",
    ]
    assert str(Diagnosis("net")) == "net: healthy"
    assert str(Diagnosis("net", [finding])).startswith("net: 1 finding\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "not built"),
        (lambda: keras.Sequential([keras.Input((4,)), keras.layers.Softmax()]), "no trainable weights"),
        (lambda: 3, "cannot be examined"),
        (lambda: "nothing.keras", "does not exist"),
        (lambda: "vgg09", "did you mean"),
        (lambda: ".", "cannot be examined"),
    ],
)
def test_bad_targets(make, message):
    with pytest.raises(InputError, match=message):
        kzoo.doctor(make())


def test_several_inputs_or_no_classes_are_refused():
    one, other = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Add()([one, other])))
    with pytest.raises(InputError, match="several inputs"):
        kzoo.doctor(keras.Model([one, other], x))
    with pytest.raises(InputError, match="gives outputs of shape"):
        kzoo.doctor(kzoo.LeNet(include_top=False))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": [1]}, "without images"),
        ({"images": np.ones((2, 9, 9, 1))}, "must be one or more of shape"),
        ({"images": np.ones((2, 8, 8, 1)), "labels": [1]}, "2 integers"),
        ({"images": np.ones((2, 8, 8, 1)), "labels": [1, 10]}, "outputs 0 to 9"),
        ({"images": np.ones((2, 8, 8, 1)), "dataset": "digits"}, "give one of them"),
        ({"images": np.full((2, 8, 8, 1), "a")}, "must be numbers"),
    ],
)
def test_bad_data(arrays, message):
    with pytest.raises(InputError, match=message):
        kzoo.doctor(kzoo.LeNet(input_shape=(8, 8, 1), classes=10), **arrays)
