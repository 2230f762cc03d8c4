"""Measure how often the doctor is right: hit rates on planted faults, false alarms on healthy networks.

    python benchmarks/doctor_rates.py                      20 draws of everything, writes docs/doctor-rates.json
    python benchmarks/doctor_rates.py --draws 3 --json /tmp/rates.json

It has three parts: the five VGG networks of reports a and b before training, on fresh seeds, without data; eight faults
and a variant of one, with random severity, location and base network (`planted_faults.py`); and healthy networks: fresh
ones with data, every model of the zoo without data, MobileNetV2 and ResNet50 of keras.applications with weights=None,
and short runs on digits. The doctor's thresholds were chosen on seeds below 1000; reported rates use seeds from 1000
upwards. Afterwards, `python docs/generate.py` updates the tables in docs/doctor.md. It takes about twelve minutes of
processor time.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
from planted_faults import FAULTS, healthy, plant

import kzoo
from kzoo.diagnostics.doctor import Diagnosis, doctor
from kzoo.training import records

VERDICTS = {"vgg08": None, "vgg38": "vanishing gradients", "vgg38-bn": None, "vgg38-res": None, "vgg38-bn-res": None}
RUNS = ("lenet1-max", "lenet2-average", "lenet3-strided", "mlp", "vgg08-bn")
FLOW = ("vanishing gradients", "exploding gradients")


def verdicts(seeds: range) -> Iterator[dict[str, Any]]:
    """The five VGG networks before training: a diagnosis is right if its kinds of `FLOW` are the expected ones."""
    for name, expected in VERDICTS.items():
        diagnoses = [doctor(name, seed=seed) for seed in progress(seeds, name)]
        right = [[kind for kind in d.kinds if kind in FLOW] == ([expected] if expected else []) for d in diagnoses]
        ratios = sorted(_ratio(d) for d in diagnoses)
        yield {
            "network": name,
            "expected": expected or "neither",
            "right": sum(right),
            "draws": len(diagnoses),
            "first_to_last": [ratios[0], ratios[-1]],
            "other_findings": sum(any(kind not in FLOW for kind in d.kinds) for d in diagnoses),
        }


def _ratio(diagnosis: Diagnosis) -> float:
    """Return the first layer's gradient divided by the last layer's, from a finding or a note on healthy gradients."""
    for finding in diagnosis.findings:
        if "first_to_last" in finding.values:
            return float(finding.values["first_to_last"])
    text = next(note.text for note in diagnosis.fine if "gradients" in note.check)
    return float(text.partition(", is ")[2].split()[0])


def faults(seeds: range) -> Iterator[dict[str, Any]]:
    """Each fault: a diagnosis is a hit if its findings include the right kind."""
    for fault in FAULTS:
        hits, extra, missed, kinds = 0, 0, [], set()
        for seed in progress(seeds, fault):
            case = plant(fault, seed)
            diagnosed = case.examine(seed).kinds
            hit = bool(set(diagnosed) & set(case.kinds))
            hits += hit
            extra += bool(set(diagnosed) - set(case.kinds))
            kinds |= set(case.kinds)
            if not hit:
                missed.append(f"seed {seed}: {case.detail}")
            clear()
        yield {
            "fault": fault,
            "kinds": sorted(kinds),
            "hits": hits,
            "draws": len(seeds),
            "with_other_findings": extra,
            "missed": missed,
        }


def controls(seeds: range) -> Iterator[dict[str, Any]]:
    """Healthy networks: any finding is a false alarm."""
    few = max(2, len(seeds) // 5)
    groups: dict[str, list[Callable[[], Diagnosis]]] = {
        "fresh networks with digits": [lambda s=s: healthy(s).examine(s) for s in seeds],  # type: ignore[misc]
        "models of the zoo, no data": [
            lambda n=n: doctor(n, seed=seeds[0])  # type: ignore[misc]
            for n in kzoo.list_models()
            if n != "vgg38"
        ],
        "MobileNetV2 and ResNet50, weights=None": [
            lambda s=s, b=b: _application(b, s)  # type: ignore[misc]
            for s in seeds[:few]
            for b in ("MobileNetV2", "ResNet50")
        ],
        "runs of 4 to 8 epochs on digits": [lambda s=s: _run(s) for s in seeds],  # type: ignore[misc]
    }
    for group, examinations in groups.items():
        alarms, false = [], 0
        for examine in progress(examinations, group):
            diagnosis = examine()
            false += not diagnosis.healthy
            alarms += [f"{diagnosis.subject}: {finding.kind}" for finding in diagnosis.findings]
            clear()
        yield {"group": group, "networks": len(examinations), "false_alarms": false, "alarms": alarms}


def _application(builder: str, seed: int) -> Diagnosis:
    keras.utils.set_random_seed(seed)
    model = getattr(keras.applications, builder)(weights=None, input_shape=(96, 96, 3), classes=100)
    return doctor(model, seed=seed)


def _run(seed: int) -> Diagnosis:
    with tempfile.TemporaryDirectory() as folder:
        options = {"dataset": "digits", "epochs": 4 + seed % 5, "seed": seed, "progress": False}
        run = kzoo.train(RUNS[seed % len(RUNS)], directory=f"{folder}/run", **options)  # type: ignore[arg-type]
        return doctor(run, seed=seed)


def clear() -> None:
    """Free the memory of the last network."""
    keras.backend.clear_session()
    gc.collect()


def progress(items: Any, title: str) -> Iterator[Any]:
    """Iterate over items and print the progress, because this takes minutes."""
    for number, item in enumerate(items, 1):
        print(f"\r{title}: {number} of {len(items)}   ", end="", flush=True)
        yield item
    print()


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--json", type=Path, default=Path(__file__).parents[1] / "docs" / "doctor-rates.json")
    parser.add_argument("--only", choices=("verdicts", "faults", "controls"), help="measure one part, keep the others")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.draws)
    results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() and options.only else {}
    for part, measure in {"faults": faults, "verdicts": verdicts, "controls": controls}.items():
        if options.only in (None, part):
            start = time.process_time()
            results[part] = list(measure(seeds))
            results.setdefault("processor_seconds", {})[part] = round(time.process_time() - start)
    results["seeds"] = [seeds[0], seeds[-1]]
    results["where"] = {"backend": keras.backend.backend(), "versions": records.versions()}
    options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for row in [*results.get("faults", []), *results.get("verdicts", []), *results.get("controls", [])]:
        print({key: value for key, value in row.items() if key not in ("missed", "alarms") or value})


if __name__ == "__main__":
    main()
