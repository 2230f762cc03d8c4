"""Generate the tables of README.md and docs/ from the code and records that they describe.

A page contains ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``. The function of that name in `TABLES` generates the
text between them.

    python docs/generate.py            rewrite the pages
    python docs/generate.py --check    list the pages that differ, and exit with status 1 if there are any
    python docs/generate.py docs/claims.md README.md    only these pages
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for benchmarks, which is not installed

from tables import claims, code, gallery, measured, picture, recorded, schemas, steps  # noqa: E402

BLOCK = re.compile(r"(<!-- ([a-z0-9-]+):begin -->\n).*?(<!-- \2:end -->)", re.DOTALL)


def figures() -> dict[str, Callable[[], str]]:
    """Return the blocks of the figures that docs/figures.py has drawn, each with its caption."""
    folder = ROOT / "docs" / "images"
    if not (folder / "captions.json").exists():
        return {}
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))

    def block(entry: dict[str, str]) -> Callable[[], str]:
        path, caption = folder / entry["file"], entry["caption"]
        if path.suffix == ".txt":
            return lambda: f"\n{caption}\n\n```text\n{path.read_text(encoding='utf-8')}```\n\n"
        return lambda: f"\n![{caption.replace('`', '')}](images/{path.name})\n\n*{caption}*\n\n"

    return {f"figure-{name}": block(entry) for name, entry in captions.items()}


TABLES: dict[str, Callable[[], str]] = {
    "models": code.models,
    **{
        f"{family.lower()}-options": partial(code.options, family)
        for family in ("VGG", "VGGADE", "ResNet", "DenseNet", "LeNet", "FastNet", "MLP")
    },
    "default-recipes": code.default_recipes,
    "recipes": code.recipes,
    "datasets": code.datasets,
    "commands": code.commands,
    "doctor-kinds": code.doctor_kinds,
    "recipe-fields": partial(schemas.fields, "kzoo.recipes", "Recipe"),
    "split-fields": partial(schemas.fields, "kzoo.data.splits", "Split"),
    "early-stop-fields": partial(schemas.fields, "kzoo.recipes.settings", "EarlyStop"),
    "lookahead-fields": partial(schemas.fields, "kzoo.recipes.settings", "Lookahead"),
    "rate-multiplier-fields": partial(schemas.fields, "kzoo.recipes.settings", "RateMultiplier"),
    "optimizers": partial(schemas.kinds, "kzoo.recipes.settings", "AnyOptimizer"),
    "schedules": partial(schemas.kinds, "kzoo.recipes.settings", "AnySchedule"),
    "augmentations": partial(schemas.kinds, "kzoo.data.augmentation.spec", "AnyAugmentation"),
    "doctor-rates": measured.doctor_rates,
    "inference": measured.inference,
    **{
        f"convolution-{block}": partial(measured.convolution, block)
        for block in ("where", "ratios", "growth", "crossing", "memory", "claims")
    },
    "results": partial(recorded.results, ROOT / "results", small=False),
    "results-small": partial(recorded.results, ROOT / "results", small=True),
    "study-results": partial(recorded.study_results, ROOT / "results"),
    "claim-counts": partial(claims.counts, ROOT / "results"),
    "claims": partial(claims.claims, ROOT / "results"),
    "studies": recorded.studies,
    "searches": partial(recorded.searches, ROOT / "docs"),
    "weights": recorded.weights,
    "first-weights": recorded.first_weights,
    "gallery": partial(gallery.gallery, ROOT / "docs" / "images"),
    "steps": steps.table,
    "step-listings": steps.listings,
    "rescue-caption": partial(picture.caption, ROOT / "results"),
    **figures(),
}

PICTURES: dict[str, Callable[[], str | None]] = {"docs/images/rescue.svg": partial(picture.rescue, ROOT / "results")}
"""Files that are written completely; None for no file."""


def main() -> None:
    """Rewrite the pages; with ``--check``, only compare them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a page differs from the code")
    parser.add_argument("pages", nargs="*", type=Path, help="only these pages (default: README.md and all of docs/)")
    options = parser.parse_args()
    check = options.check
    texts: dict[str, str] = {}

    def fill(block: re.Match[str]) -> str:
        name = block[2]
        if name not in texts:  # several pages can contain the same table
            texts[name] = TABLES[name]()
        return block[1] + texts[name] + block[3]

    stale = []
    for page in map(Path.resolve, options.pages or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]):
        before = page.read_text(encoding="utf-8")
        after = BLOCK.sub(fill, before)
        if after != before:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(after, encoding="utf-8")
    for name, draw in ({} if options.pages else PICTURES).items():
        path, drawn = ROOT / name, draw()
        if drawn is not None and (not path.exists() or path.read_text(encoding="utf-8") != drawn):
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(drawn, encoding="utf-8")
    if stale:
        print(f"{'differ from the code' if check else 'rewritten'}: {', '.join(stale)}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
