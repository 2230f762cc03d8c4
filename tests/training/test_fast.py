"""Short training with all its features, on digits; class weights equal scikit-learn's."""

import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.utils.class_weight import compute_class_weight

import kzoo
from kzoo.data.splits import Part
from kzoo.errors import InputError
from kzoo.models.whitening import LAYER, whitening_kernel
from kzoo.recipes import Recipe, get_recipe
from kzoo.recipes.settings import Muon, OneCycle, RateMultiplier
from kzoo.training.build import build_model, load_parts
from kzoo.training.evaluation import evaluate_augmented, predict
from kzoo.training.training_view import training_view

pytestmark = pytest.mark.filterwarnings("ignore:tta=")  # mirrored digits are not digits, which does not matter here

SMALL = get_recipe("fast/cifar10-94").derive(
    "test/fast",
    dataset="digits",
    augmentation=(),
    model_options={"widths": (8, 16)},
    optimizer=Muon(sgd_rate=4.0, sgd_decay=0.0002),
    batch_size=75,
    epochs=4,
    class_weights="balanced",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kzoo.train(SMALL, directory=tmp_path_factory.mktemp("fast") / "run", progress=False, diagnostics=False)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.backend
def test_digits_are_learnt_in_a_few_epochs(run):
    assert run.result.test.accuracy > 0.93  # seeds 0 to 2 end with 0.980 to 0.994, on each backend
    assert run.result.best is None
    assert run.result.best_epoch == 4
    assert len(run.result.data["class_weights"]) == 10
    np.testing.assert_allclose(run.history["learning_rate"], 0.24 * np.array([1, 0.75, 0.5, 0.25]), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.backend
def test_the_whitening_kernel_is_that_of_the_training_images_and_stays(run):
    data = load_parts(run.recipe, None)
    seen = (data.train.images[:5000] / 255 - data.normalization.mean) / data.normalization.std
    kernel = keras.ops.convert_to_numpy(run.model.get_layer(LAYER).kernel)
    np.testing.assert_allclose(kernel, whitening_kernel(seen.astype("float32"), (2, 2)), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_scores_with_test_time_augmentation(run):
    plain, flipped, moved = (run.evaluate(tta=tta) for tta in (None, "flip", "flip-shift"))
    assert plain.accuracy == run.result.test.accuracy
    assert moved.accuracy == run.result.test_tta.accuracy
    assert moved.loss == pytest.approx(run.result.test_tta.loss, abs=1e-4)
    assert len({plain.loss, flipped.loss, moved.loss}) == 3
    part, (view, logits) = run.part(), training_view(run.model)
    wide = np.pad(part.images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    total = 0.0
    for images, weight in ((part.images, 0.5), (wide[:, :-2, :-2], 0.25), (wide[:, 2:, 2:], 0.25)):
        for copy in (images, np.flip(images, axis=2)):
            total = total + weight / 2 * np.asarray(view.predict(copy, batch_size=len(copy), verbose=0))
    assert logits
    assert np.mean(total.argmax(-1) == part.labels) == pytest.approx(moved.accuracy, abs=1 / len(part))
    with pytest.raises(InputError, match="tta"):
        run.evaluate(tta="flop")
    assert evaluate_augmented(view, logits, part, "flip", 64).accuracy == flipped.accuracy


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.usefixtures("eagerly_once")
def test_a_set_of_weights_is_made_without_validation_scores(run, tmp_path):
    folder = kzoo.save_weights_set(run, tmp_path / "set")
    again = kzoo.create_model("fastnet-s", weights=str(folder))
    images = run.part().images[:20]
    np.testing.assert_array_equal(again.predict(images, verbose=0), run.model.predict(images, verbose=0))
    card = (folder / "README.md").read_text()
    assert f"(`flip-shift`) | {run.result.test_tta.accuracy:.4f} |\n| test loss" in card
    assert "those of the last epoch" in card
    assert "validation" not in card


def weighted(logits):
    """A network whose scores are weighted sums of the pixels, so no two copies of an image have equal scores."""
    image = keras.Input((5, 6, 1))
    scores = keras.layers.Dense(3, activation=None if logits else "softmax")(keras.layers.Flatten()(image))
    model = keras.Model(image, scores)
    model.set_weights([np.random.default_rng(2).normal(size=(30, 3)) / 3, np.zeros(3)])
    return model


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("kind", ["flip", "flip-shift"])
def test_test_time_augmentation_by_hand(kind, logits):
    random = np.random.default_rng(1)
    images, labels = random.normal(size=(7, 5, 6, 1)).astype("float32"), random.integers(3, size=7)
    images[0] *= 100  # a class has probability 0
    view = weighted(logits)
    copies = [(1 / 2, images), (1 / 2, images[:, :, ::-1])]
    if kind == "flip-shift":
        rows, columns = [1, 0, 1, 2, 3, 4, 3], [1, 0, 1, 2, 3, 4, 5, 4]
        wide = images[:, rows][:, :, columns]
        copies += [(1 / 4, wide[:, :5, :6]), (1 / 4, wide[:, :5, :6][:, :, ::-1])]
        copies += [(1 / 4, wide[:, 2:, 2:]), (1 / 4, wide[:, 2:, 2:][:, :, ::-1])]
    total = 0.0
    for weight, copy in copies:
        outputs = view.predict(copy, verbose=0).astype(float)
        total = total + weight * (outputs if logits else np.log(np.maximum(outputs, 1e-12)))
    total = total / sum(weight for weight, _ in copies)
    part = Part(images, labels)
    scores = evaluate_augmented(view, logits, part, kind, 4)
    losses = logsumexp(total, axis=-1) - total[np.arange(7), labels]
    assert scores.loss == pytest.approx(losses.mean(), rel=1e-4)
    assert scores.accuracy == np.mean(total.argmax(-1) == labels)
    assert scores.images == 7
    assert scores.confusion.sum() == 7
    assert np.trace(scores.confusion) == round(7 * scores.accuracy)
    known = predict(view, images, labels, 4)
    assert evaluate_augmented(view, logits, part, kind, 4, plain=known).to_dict() == scores.to_dict()


def unequal():
    recipe = SMALL.override(class_names=(3, 5, 8), train_size=200).resolved()
    return recipe, load_parts(recipe, None)


def test_balanced_class_weights_equal_scikit_learns():
    recipe, data = unequal()
    labels = data.train.labels
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(data.class_weights(recipe), wanted, rtol=1e-6)


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_the_loss_is_the_weighted_mean_of_the_images_losses():
    recipe, data = unequal()
    recipe = recipe.override(class_weights={"5": 3.0, "8": 0.25}, label_smoothing=0.1)
    view, _ = training_view(build_model(recipe, data))
    view.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    images, targets, weights = data.batches("train", recipe)[0]
    logits = np.asarray(view.predict(images, verbose=0), np.float64)
    each = -(targets * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum(-1)
    wanted = np.mean(np.array([1, 3, 0.25])[targets.argmax(-1)] * each)
    assert view.test_on_batch(images, targets, weights) == pytest.approx(wanted, rel=1e-4)


def test_wrong_class_weights():
    recipe, data = unequal()
    with pytest.raises(InputError, match="class in class_weights"):
        data.class_weights(recipe.override(class_weights={"7": 2.0}))
    with pytest.raises(InputError, match="weight 0 for every class: nothing would be trained"):
        data.class_weights(recipe.override(class_weights=dict.fromkeys(data.class_names, 0.0)))
    with pytest.raises(InputError, match="class_weights"):
        recipe.override(class_weights="even")
    with pytest.raises(InputError, match="class_weights"):
        recipe.override(class_weights={"3": -1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_norm": 0}, "clip_norm"),
        ({"tta": "mirror"}, "tta"),
        ({"lookahead": {"keep": 1.0}}, "lookahead"),
        ({"lookahead": True}, "lookahead"),
        ({"rate_multipliers": {"*": {"decay": -1}}}, "rate_multipliers"),
        ({"rate_multipliers": {"*": -1}}, "rate_multipliers"),
        ({"rate_multipliers": {"*": {"last_epoch": 0}}}, "rate_multipliers"),
        ({"schedule": {"kind": "one_cycle", "peak": 1.5}}, "schedule"),
        ({"optimizer": {"kind": "muon", "momentum": 1.0}}, "optimizer"),
        ({"augmentation": [{"kind": "cutmix", "alpha": 0}]}, "augmentation"),
        ({"augmentation": [{"kind": "rand_augment", "magnitude": 31}]}, "augmentation"),
    ],
)
def test_wrong_fields_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        Recipe("a/b", model="fastnet-s", **changes)


def test_fields_that_are_not_used_leave_the_identity_alone():
    plain = Recipe("a/b", model="vgg08")
    assert (
        plain.override(rate_multipliers={}, warmup_epochs=0.0, clip_norm=None, tta=None, lookahead=None).digest()
        == plain.digest()
    )
    used = [
        {"rate_multipliers": {"*bias": RateMultiplier(factor=2)}},
        {"warmup_epochs": 1.0},
        {"clip_norm": 1.0},
        {"class_weights": "balanced"},
        {"tta": "flip"},
        {"lookahead": {}},
        {"rate_multipliers": {"*bias": RateMultiplier(factor=2, decay=0)}},
        {"schedule": OneCycle()},
    ]
    assert len({plain.digest(), *(plain.override(**changes).digest() for changes in used)}) == len(used) + 1
