"""Schedules equal PyTorch's over 100 epochs."""

import numpy as np
import pytest

from kzoo.recipes.settings import Constant, Cosine, CosineRestarts, Exponential, Plateau, Step
from kzoo.training.schedules import PlateauRate, learning_rate

torch = pytest.importorskip("torch", reason="PyTorch is the independent computation")

pytestmark = pytest.mark.backend
EPOCHS, BASE = 100, 0.1


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)


def rates(scheduler, opt, figures=None):
    found = []
    for epoch in range(EPOCHS):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step(*([] if figures is None else [figures[epoch]]))
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        (Cosine(minimum=2e-5), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS, eta_min=2e-5)),
        (CosineRestarts(period=20), lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 20)),
        (Exponential(factor=0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (Step(every=20, factor=0.1), lambda o: torch.optim.lr_scheduler.StepLR(o, 20, 0.1)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_rates_by_epoch_equal_pytorch(ours, theirs):
    opt = optimizer()
    expected = rates(theirs(opt), opt)
    assert len(set(expected)) > 1 or isinstance(ours, Constant)
    np.testing.assert_allclose([learning_rate(ours, BASE, e, EPOCHS) for e in range(EPOCHS)], expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patience", [0, 3])
def test_plateau_equals_pytorch(seed, patience):
    losses = 1 + np.random.default_rng(seed).exponential(0.3, EPOCHS) / np.sqrt(np.arange(1, EPOCHS + 1))
    opt = optimizer()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=patience, factor=0.5, min_lr=1e-4, eps=0)
    expected = rates(scheduler, opt, losses)
    ours, found = PlateauRate(Plateau(patience=patience, factor=0.5, minimum=1e-4), BASE), []
    for loss in losses:
        found.append(ours.rate)
        ours.update(float(loss))
    assert len(set(expected)) > 3
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_plateau_goes_on_from_a_state():
    losses = [1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8]
    whole = PlateauRate(Plateau(patience=1), BASE)
    for loss in losses:
        whole.update(loss)
    first = PlateauRate(Plateau(patience=1), BASE)
    for loss in losses[:3]:
        first.update(loss)
    second = PlateauRate(Plateau(patience=1), BASE)
    second.restore(first.state())
    for loss in losses[3:]:
        second.update(loss)
    assert second.state() == whole.state() != PlateauRate(Plateau(patience=1), BASE).state()
