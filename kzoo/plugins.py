"""Packages that add their own models, datasets, recipes, augmentations, schedules and optimizers.

A package names a module under the entry point group ``kzoo.plugins``; kzoo imports that module once, before it first
reads a registry. The module calls `kzoo.register_model`, `kzoo.register_dataset`, `kzoo.register_recipe`,
`kzoo.register_augmentation`, `kzoo.register_schedule` and `kzoo.register_optimizer`.
"""

from __future__ import annotations

import warnings

GROUP = "kzoo.plugins"

_state = {"loaded": False}


def load() -> None:
    """Import every installed plugin once; warn about each one that cannot be imported."""
    import importlib.metadata  # 30 ms, which `import kzoo` need not take

    if _state["loaded"]:
        return
    _state["loaded"] = True  # before importing: plugins read the registries themselves
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # a broken plugin must not break kzoo
            warnings.warn(f"kzoo plugin {entry.name!r} ({entry.value}) could not be loaded: {error}", stacklevel=2)
