"""Networks learn from real images of tensorflow-datasets (with budgets for tests, not those of a report)."""

import pytest

import kzoo

pytestmark = pytest.mark.data


@pytest.mark.representative
def test_vgg08_bn_starts_to_learn_cifar100(data_dir):
    run = kzoo.train(
        "vgg08-bn", train_size=5000, epochs=2, augmentation=(), data_dir=data_dir, directory="run", progress=False
    )
    assert run.result.sizes == {"drawn": 5000, "train": 5000, "validation": 2500, "test": 10000}
    first, last = run.history["loss"]
    assert last < 0.97 * first
    assert run.result.last.accuracy > 0.03
    assert kzoo.Run("run").evaluate("test").accuracy == run.result.test.accuracy


def test_lenet_learns_emnist_within_an_epoch(data_dir):
    run = kzoo.train("lenet2-max", epochs=1, data_dir=data_dir, directory="run", progress=False)
    pool = 90_605 + 18_800
    assert sum(run.result.sizes[part] for part in ("train", "validation", "test")) == pool
    assert run.result.sizes["validation"] == run.result.sizes["test"] == round(0.12 * pool)
    assert run.result.last.accuracy > 0.60
    again = kzoo.Run("run").evaluate("test")
    assert again.accuracy == run.result.test.accuracy
