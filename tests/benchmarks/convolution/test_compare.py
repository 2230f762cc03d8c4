"""The comparison of convolution algorithms: measurements, their evaluation, and the output."""

import dataclasses
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from benchmarks.convolution import claims, growth
from benchmarks.convolution.command import main
from benchmarks.convolution.compare import Comparison, Measured, compare
from benchmarks.convolution.derived import derived
from benchmarks.convolution.measuring import FRAMEWORK
from benchmarks.convolution.points import FULL, QUICK, TITLES, Point, Series
from kzoo.convolution.conv import ALGORITHMS, predicted_storage
from kzoo.errors import InputError

TINY = Point(batch=2, channels=2, size=8)
FUNCTIONS = ("forward", "input_gradient", "kernel_gradient")


def tiny_series():
    values = {"batch": (1, 2, 4), "channels": (1, 2), "size": (6, 8), "kernel": (1, 3), "dilation": (1, 2)}
    rows = {name: Series(name, name, TINY, numbers) for name, numbers in values.items()}
    one = dataclasses.replace(TINY, batch=1)
    return rows | {
        "small": Series("small", "channels", one, (1, 2)),
        "standard": Series("standard", "batch", TINY, (4,)),
    }


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the benchmark's command line in this process; returns exit status, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["benchmarks.convolution", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        text = capsys.readouterr()
        return caught.value.code or 0, text.out, text.err

    return run


@pytest.fixture(scope="module")
def measured():
    steps = []
    comparison = compare(series=tiny_series(), quick=True, progress=lambda *step: steps.append(step))
    return comparison, steps


@pytest.mark.slow
@pytest.mark.representative
def test_a_real_comparison(measured):
    comparison, steps = measured
    assert [number for _, number, _ in steps] == list(range(steps[0][2]))
    assert any(what.startswith("memory: batch 4, 2 channels") for what, _, _ in steps)
    assert set(comparison.contenders) == {*ALGORITHMS, FRAMEWORK}
    for row in comparison.points.values():
        for name, kinds in row.times.items():
            assert all(0 < value < 60 for values in kinds.values() for value in values), name
            assert row.seconds(name, "forward") < row.seconds(name, "total") or name == FRAMEWORK
    (standard,) = comparison.along("standard")
    assert standard.seconds("loops") > 10 * standard.seconds("im2col")
    memory = standard.framework_memory
    assert memory is None or 0 <= memory["forward"] < 2**30
    assert {row.status for row in claims.verdicts(comparison)} <= {"holds", "does not hold", "not enough runs"}


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_saved_and_read_again(real, request, command, tmp_path):
    comparison = request.getfixturevalue("measured")[0] if real else made_up(by_formula)
    content = json.loads(json.dumps(comparison.to_dict()))
    again = Comparison.from_dict(content)
    assert again.to_dict() == content
    assert derived(again) == derived(Comparison.from_dict(again.to_dict()))
    file = tmp_path / "measured.json"
    file.write_text(json.dumps(content))
    code, out, _ = command("--from", file)
    assert code == 0
    assert all(word in out for word in ("im2col-blocked", "claims", "predicted", "growth of the time", "holds"))
    code, out, _ = command("--from", file, "--json")
    printed = json.loads(out)
    assert printed["points"] == content["points"]
    assert len(printed["claims"]) == len(claims.CLAIMS)


@pytest.mark.slow
@pytest.mark.representative
def test_figures(command, tmp_path):
    file = tmp_path / "measured.json"
    file.write_text(json.dumps(made_up(by_formula).to_dict()))
    code, out, _ = command("--from", file, "--figures", ".")
    assert (code, out.count("figure: ")) == (0, 8)
    for path in Path().glob("*.svg"):
        ET.parse(path)
    assert "FFT" in Path("convolution-crossing.svg").read_text()
    code, _, error = command("--from", file, "--figures", ".")
    assert (code, "exists" in error) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "none.json"), "cannot be read"),
        (("--from", "bad.json"), "not a comparison of convolutions"),
        (("--from", "new.json"), "schema 99"),
        (("--from", "bad.json", "--quick"), "neither --quick nor --save"),
        (("--save", "here.txt"), "must end in .json"),
        (("--save", "bad.json"), "exists"),
        (("--figures", "nowhere"), "folder 'nowhere' for figures does not exist"),
    ],
)
def test_bad_input(words, message, command):
    Path("bad.json").write_text('{"schema": 1}')
    Path("new.json").write_text('{"schema": 99}')
    code, _, error = command(*words)
    assert (code, message in error.replace("\n", " ")) == (2, True), error


def test_series_must_be_the_known_ones():
    with pytest.raises(InputError, match="a comparison has the series batch, channels"):
        compare(series={"batch": FULL["batch"]})
    for series in (FULL, QUICK):
        assert set(series) == set(TITLES)
        assert all(list(row.values) == sorted(set(row.values)) for row in series.values())


def made_up(seconds, rounds=5, memory=None):
    """A comparison whose times are a function of point and contender; memory is as predicted unless given."""

    def row(point):
        names = [*ALGORITHMS, FRAMEWORK]
        times = {name: {kind: [seconds(point, name)] * rounds for kind in ("forward", "total")} for name in names}
        kinds = dict(zip(FUNCTIONS, ("output_shape", "input_shape", "kernel_shape"), strict=True))
        used = {}
        for name in ALGORITHMS:
            predicted = predicted_storage(point.geometry, name)
            sizes = {f: 4 * int(np.prod(getattr(point.geometry, shape))) for f, shape in kinds.items()}
            used[name] = {
                f: {"predicted": predicted[f], "measured": (memory or {}).get(name, predicted[f]), "result": sizes[f]}
                for f in FUNCTIONS
            }
        pair = {kind: [1e-5] * rounds for kind in ("forward", "total")}
        return Measured(point, times, pair, {}, used, None)

    where = {"hardware": {"processor": "A processor", "cores": 2}, "load_at_start": 0.0, "versions": {}}
    points = dict.fromkeys(point for series in FULL.values() for point in series.points)
    return Comparison("tensorflow", False, rounds, where, FULL, {point: row(point) for point in points})


def by_formula(point, name):
    """Times that follow the reports' claims to the letter."""
    calls = point.batch * point.channels**2
    area = point.size**2 * point.kernel**2
    return {
        "loops": 1e-7 * calls * area,
        "correlate2d": 1e-5 * calls,
        "im2col": 2e-5 + 1e-10 * calls * area,
        "im2col-blocked": 2e-5 + 0.5e-10 * calls * area,
        "fft": 3e-5 + 2e-9 * calls * point.size**2,
        FRAMEWORK: 1e-11 * calls * area,
    }[name]


def statuses(comparison):
    return {row.claim: row.status for row in claims.verdicts(comparison)}


def test_claims_hold_where_the_formulas_do():
    by_claim = statuses(made_up(by_formula))
    refuted = {
        "Explicit loops are inefficient in storage",
        "FFT needs less memory when the kernel is large",
        "correlate2d has no advantage in speed over im2col and FFT",  # report a: faster on small tensors
    }
    assert {claim for claim, status in by_claim.items() if status == "does not hold"} == refuted
    assert {status for claim, status in by_claim.items() if claim not in refuted} == {"holds"}


def test_claims_fail_where_the_values_do():
    slow_fft = statuses(made_up(lambda point, name: 1.0 if name == "fft" else by_formula(point, name)))
    assert (
        slow_fft["FFT is slower than im2col at small kernels (up to 3x3) and faster at large ones"] == "does not hold"
    )
    slow_im2col = statuses(made_up(lambda point, name: 9.0 if "im2col" in name else by_formula(point, name)))
    assert slow_im2col["im2col is the fastest on large tensors"] == "does not hold"
    assert slow_im2col["im2col is slower than loops around a 2-D function on small tensors"] == "holds"
    quick = statuses(
        made_up(lambda point, name: by_formula(point, name) * (point.batch if name == "correlate2d" else 1))
    )
    assert quick["Three loops around a 2-D function take T = B F_out F_in T_function"] == "does not hold"
    hungry = statuses(made_up(by_formula, memory={"correlate2d": 10**7, "im2col": 10**6}))
    assert hungry["correlate2d needs no extra memory"] == "does not hold"
    assert hungry["im2col repeats each pixel kernel-area times"] == "does not hold"
    assert hungry["Three loops around a 2-D function store less than im2col"] == "does not hold"
    same = statuses(made_up(lambda point, name: 1e-3))
    assert same["im2col is the fastest on large tensors"] == "not enough runs"


@pytest.mark.parametrize(
    ("ratios", "status"),
    [
        ([1.2, 1.3, 1.1], "holds"),
        ([0.8, 0.7, 0.9], "does not hold"),
        ([1.04, 1.04, 1.04], "not enough runs"),
        ([1.5, 1.4, 0.9, 0.9, 1.3], "not enough runs"),
        ([1.5, 1.4, 1.2, 0.9, 1.3], "holds"),
        ([], "not enough runs"),
    ],
)
def test_when_a_time_counts_as_longer(ratios, status):
    assert claims.longer(ratios) == status


def test_growth_and_crossing():
    comparison = made_up(by_formula)
    powers = growth.exponents(comparison)
    assert powers["loops"] == pytest.approx({"batch": 1, "channels": 2, "size": 2, "kernel": 2, "dilation": 0})
    assert powers["fft"]["kernel"] == pytest.approx(0)
    crossed = growth.crossing(comparison, "kernel", "fft", "im2col")
    assert (crossed["before"], crossed["from"]) == (3, 5)
    assert 20**0.5 - 1 < crossed["at"] < 20**0.5 + 0.5  # where 2e-9 equals 1e-10 k^2, without the cost of a call
    never = growth.crossing(comparison, "dilation", "fft", "im2col")
    assert never == {"from": None, "before": 8, "at": None}
    always = growth.crossing(comparison, "batch", "im2col", "loops")
    assert (always["from"], always["before"]) == (1, None)
    assert growth.exponent([1, 2], [1.0, 2.0]) is None


def test_ratios_go_round_by_round():
    row = made_up(by_formula).points[TINY_STANDARD]
    times = {"a": {"total": [2.0, 4.0, 9.0]}, "b": {"total": [1.0, 2.0, 3.0]}, "slow": {"total": [50.0]}}
    row = dataclasses.replace(row, times=times)
    assert row.ratios("a", "b") == [2, 2, 3]
    assert row.ratios("slow", "b") == [25]
    assert row.ratios("b", "slow") == [2 / 50]
    assert row.ratios("a", "none") == []


TINY_STANDARD = FULL["standard"].points[0]


@pytest.mark.slow
def test_the_command_measures(command):
    """The ratio of the loops has a wide margin, so that the test passes on any machine."""
    code, out, error = command("--quick", "--numpy-only", "--save", "found.json", "--json")
    assert code == 0, error
    content = json.loads(out)
    assert content["ratios"]["loops / im2col-blocked"]["median"] > 100
    assert Comparison.from_file("found.json").quick
    again = json.loads(Path("found.json").read_text())
    assert again["points"] == content["points"]
