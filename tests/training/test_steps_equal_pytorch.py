"""Ten training steps of a whole network at a constant rate, with coupled decay, end where PyTorch's do."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.recipes.settings import Adam, Nesterov
from kzoo.training.optimization.optimizers import build_optimizer
from kzoo.training.training_view import training_view

torch = pytest.importorskip("torch", reason="PyTorch is the independent computation")
from tests.models import torch_references as references  # noqa: E402

L2 = 1e-2  # ten times the reports', so that it has a visible effect
CASES = {
    "adam": (Adam(learning_rate=1e-3), lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=L2)),
    "nesterov": (
        Nesterov(learning_rate=0.05),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=L2),
    ),
}


@pytest.mark.backend
@pytest.mark.parametrize("name", CASES)
def test_vgg08(name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 20, 32, 32, 3)).astype("float32")
    labels = rng.integers(0, 100, (10, 20))
    keras.utils.set_random_seed(1)
    model = kzoo.VGG08(mean=references.MEAN, std=references.STD)
    reference = references.ThinVGG(0, batch_norm=False, residual=False)
    references.copy_weights(model, reference)
    start = references.logits(reference, images[0])

    kind, make = CASES[name]
    view, from_logits = training_view(model)
    recipe = kzoo.Recipe("test/steps", model="vgg08", optimizer=kind, l2=L2).resolved()
    view.compile(build_optimizer(recipe), keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    optimizer = make(reference.parameters())
    reference.train()
    for x, y in zip(images, labels, strict=True):
        view.train_on_batch(x, y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(reference(torch.tensor(x).permute(0, 3, 1, 2)), torch.tensor(y)).backward()
        optimizer.step()

    expected = references.logits(reference, images[0])
    assert np.abs(expected - start).max() > 0.01  # the steps moved it far more than the tolerance
    np.testing.assert_allclose(view.predict(images[0], verbose=0), expected, atol=1e-4)
