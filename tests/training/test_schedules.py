"""Schedules equal PyTorch's over 100 epochs."""

import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.recipes.settings import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
)
from kzoo.training.optimization.schedules import PlateauRate, learning_rate, rates_by_step

torch = pytest.importorskip("torch", reason="PyTorch is the independent computation")

pytestmark = pytest.mark.backend
EPOCHS, BASE = 100, 0.1


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)


def rates(scheduler, opt, losses=None):
    result = []
    for epoch in range(EPOCHS):
        result.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step(*([] if losses is None else [losses[epoch]]))
    return result


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
    ours, actual = PlateauRate(Plateau(patience=patience, factor=0.5, minimum=1e-4), BASE), []
    for loss in losses:
        actual.append(ours.rate)
        ours.update(float(loss))
    assert len(set(expected)) > 3
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_a_minimum_above_the_rate_does_not_raise_it():
    """PyTorch's scheduler does not raise it either."""
    ours = PlateauRate(Plateau(patience=0, factor=0.5, minimum=2 * BASE), BASE)
    for _ in range(3):
        ours.update(1.0)
    assert ours.rate == BASE


def test_plateau_continues_from_a_state():
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


STEPS = 7
ALL_STEPS = EPOCHS * STEPS
LR = torch.optim.lr_scheduler


def one_cycle(o, anneal):
    options = {"pct_start": 0.3, "div_factor": 25, "final_div_factor": 1e4, "cycle_momentum": False}
    return LR.OneCycleLR(o, BASE, total_steps=ALL_STEPS, anneal_strategy=anneal, **options)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Linear(), lambda o: LR.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=ALL_STEPS)),
        (Linear(end=0.2), lambda o: LR.LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=ALL_STEPS)),
        (Polynomial(power=2), lambda o: LR.PolynomialLR(o, total_iters=ALL_STEPS, power=2)),
        (OneCycle(), lambda o: one_cycle(o, "cos")),
        (OneCycle(anneal="linear"), lambda o: one_cycle(o, "linear")),
    ],
    ids=["linear", "linear-to-a-fifth", "polynomial", "one-cycle", "triangle"],
)
def test_rates_by_step_equal_pytorch(ours, theirs):
    opt = optimizer()
    scheduler, expected = theirs(opt), []
    for step in range(ALL_STEPS):
        expected.append(opt.param_groups[0]["lr"])
        opt.step()
        if step < ALL_STEPS - 1:
            scheduler.step()
    assert len(set(expected)) > ALL_STEPS / 2
    actual = rates_by_step(ours, BASE, EPOCHS, STEPS)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("steps", "peak"), [(2, 0.9), (3, 0.9), (20, 0.99), (1, 0.3)])
def test_a_cycle_with_a_late_peak_ends_as_low_as_any(steps, peak):
    schedule = OneCycle(peak=peak)
    assert rates_by_step(schedule, BASE, 1, steps)[-1] == pytest.approx(BASE * schedule.end)


def test_warm_up_equals_pytorchs_linear_then_the_schedule():
    warm = 2 * STEPS
    opt = optimizer()
    first = LR.LinearLR(opt, start_factor=1 / (warm + 1), total_iters=warm)
    then = LR.LinearLR(opt, start_factor=1.0, end_factor=0.0, total_iters=ALL_STEPS - warm)
    scheduler, expected = LR.SequentialLR(opt, [first, then], milestones=[warm]), []
    for _ in range(ALL_STEPS):
        expected.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step()
    np.testing.assert_allclose(rates_by_step(Linear(), BASE, EPOCHS, STEPS, 2.0), expected, rtol=1e-6, atol=1e-12)


def test_warm_up_before_a_schedule_by_epoch():
    actual = rates_by_step(Cosine(), BASE, 10, STEPS, 1.5)
    warm = round(1.5 * STEPS)
    np.testing.assert_allclose(actual[:warm], BASE * np.arange(1, warm + 1) / (warm + 1))
    rest = [learning_rate(Cosine(), BASE, step // STEPS, 9) for step in range(10 * STEPS - warm)]
    np.testing.assert_allclose(actual[warm:], rest)
    assert rates_by_step(Cosine(), BASE, 10, STEPS) is None


def test_warm_up_must_fit():
    with pytest.raises(InputError, match="warmup_epochs needs a schedule known in advance, not 'plateau'"):
        Recipe("a/b", model="mlp", schedule="plateau", warmup_epochs=1)
    with pytest.raises(InputError, match="warmup_epochs=3 must be less than epochs=3"):
        Recipe("a/b", model="mlp", epochs=3, warmup_epochs=3)


def test_a_warm_up_of_almost_the_whole_run_leaves_the_schedule_a_step():
    np.testing.assert_allclose(rates_by_step(Linear(), BASE, 2, 2, 1.9), BASE * np.array([1, 2, 3, 4]) / 4)
    np.testing.assert_allclose(rates_by_step(Constant(), BASE, 1, 1, 0.9), [BASE])


def test_a_peak_at_the_first_step():
    actual = rates_by_step(OneCycle(peak=0.25, end=0.1, anneal="linear"), BASE, 2, 2)
    np.testing.assert_allclose(actual, BASE * np.array([1, 0.7, 0.4, 0.1]))
