"""Another package's model, dataset and recipe are listed, trained, resumed and used."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kzoo.training import checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.representative]

SOURCE = Path(__file__).with_name("outside")


@pytest.fixture(scope="module")
def kzoo_command(tmp_path_factory):
    """Runs the command line with the other package installed; returns the finished process."""
    directory = tmp_path_factory.mktemp("outside")
    copy = shutil.copytree(SOURCE, directory / "source")  # a build leaves files next to its source
    site = directory / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        copy,
    ]
    subprocess.run([str(word) for word in install], check=True, capture_output=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words, wait=True):
        process = subprocess.Popen(
            [sys.executable, "-m", "kzoo", *map(str, words)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            return process
        process.output, process.errors = process.communicate(timeout=120)
        assert process.returncode == 0, process.errors
        return process

    return run


def test_listed(kzoo_command):
    models = json.loads(kzoo_command("list", "extras*", "--json").output)
    assert models == [{"name": "extras-small", "classes": 4, "input": [12, 12, 1], "recipe": None}]
    recipes = json.loads(kzoo_command("list", "extras/*", "--recipes", "--json").output)
    assert [row["name"] for row in recipes] == ["extras/stripes"]
    assert "stripes" in [row["name"] for row in json.loads(kzoo_command("data", "--json").output)]
    assert "Half" in kzoo_command("info", "extras-small").output


def test_trained_killed_resumed_and_evaluated(kzoo_command, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    words = ["train", "extras/stripes", "--epochs", 20, "--set", "optimizer.learning_rate=0.02", "--directory"]
    kzoo_command(*words, whole)
    process = kzoo_command(*words, cut, wait=False)
    while not checkpoint.files(cut / "checkpoint")[1:]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (cut / "result.json").exists()
    kzoo_command("resume", cut)
    records = [json.loads((directory / "result.json").read_text()) for directory in (whole, cut)]
    for key in ("loss", "val_accuracy"):
        assert records[0]["history"][key] == records[1]["history"][key]
    assert records[0]["test"] == records[1]["test"]
    assert records[0]["test"]["accuracy"] > 0.5  # chance is a quarter
    assert records[0]["data"]["class_names"] == ["across", "along", "dark", "light"]
    score = json.loads(kzoo_command("evaluate", cut, "--json").output)
    assert score["accuracy"] == records[0]["test"]["accuracy"]
