"""Models by name: kzoo's catalogue, registered models, and ``module:function`` references.

Imports no Keras; a builder's module is imported when its model is created.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kzoo.errors import InputError, unknown
from kzoo.files import user_path
from kzoo.models.catalog import VARIANTS, Variant
from kzoo.models.weight_sets import DESCRIPTION, describe, find_set, full_name, is_file, list_weights, open_set
from kzoo.references import check_module, load_function, parameters_in_source, warn_if_redefined
from kzoo.registry import Registry

if TYPE_CHECKING:
    import keras

REGISTRY = Registry("model", lambda: VARIANTS, hint="(kzoo list shows all models)")


def register_model(
    name: str,
    builder: str | Callable[..., Any],
    *,
    options: Mapping[str, Any] | None = None,
    classes: int,
    input_shape: tuple[int, int, int],
    recipe: str | None = None,
) -> Variant:
    """Make a model available by name wherever kzoo accepts a model's name.

    Args:
        name: a new name without slash, colon or white space.
        builder: a callable that returns a `keras.Model`, or ``"module:function"`` naming one. It gets `options`, the
            caller's options, and those of `classes`, `input_shape` and `name` that its signature takes.
        options: keyword arguments of the builder that make this variant.
        classes: default number of classes.
        input_shape: default (height, width, channels).
        recipe: name of the recipe that trains it by default, or None.

    Returns:
        The new variant.

    Raises:
        InputError: the name is malformed or taken by another model, or the builder is neither of the two.

    Example:
        >>> def tiny(classes=10, input_shape=(8, 8, 1), **options):
        ...     return kzoo.MLP(hidden=[8], classes=classes, input_shape=input_shape, **options)
        >>> kzoo.register_model("tiny", tiny, classes=10, input_shape=(8, 8, 1)).name
        'tiny'
    """
    if not isinstance(name, str) or not re.fullmatch(r"[^\s/:*?\[\]]+", name):
        raise InputError(f"model name {name!r}: a name is text without slash, colon, white space or wildcard")
    if not callable(builder) and not (isinstance(builder, str) and ":" in builder):
        raise InputError(f"builder of model {name!r} is {builder!r}: give a callable or 'module:function'")
    new = Variant(name, builder, options or {}, classes, tuple(input_shape), recipe)
    return REGISTRY.add(new)


def get_variant(name: str) -> Variant:
    """The variant of that name.

    Args:
        name: a registered name, or ``"module:function"`` for a custom builder (its variant has no
            classes and no input shape).

    Raises:
        InputError: there is no such name; the message suggests the nearest, or names a recipe's model.
    """
    if ":" in name:
        return Variant(name, name)
    return REGISTRY.get(name)


def list_models(pattern: str = "*", pretrained: bool = False) -> list[str]:
    """Names of the models that match a wildcard, with numbers in natural order.

    Args:
        pattern: as in a shell: ``*``, ``?``, ``[...]``; case-sensitive.
        pretrained: only models with trained weights, see `list_weights`.

    Example:
        >>> kzoo.list_models("vgg08*")
        ['vgg08', 'vgg08-bn']
    """
    names = REGISTRY.names(pattern)
    if pretrained:
        with_weights = {name.partition(":")[0] for name in list_weights()}
        names = [name for name in names if name in with_weights]
    return sorted(names, key=_natural)


def create_model(name: str, /, **options: Any) -> keras.Model:
    """Build a model by name.

    Args:
        name: a name of `list_models`, or ``"module:function"``.
        **options: passed to the builder, overriding the variant's: `classes`, `input_shape`, `weights`,
            `include_top`, `name` (of the Keras model), ... and the family's options. A set of trained weights (a tag
            of `list_weights`, a folder, the URL of a ``set.json``) brings the options that it was trained with, and
            ``model.class_names``, by label.

    Raises:
        InputError: the name is unknown, or the builder cannot be imported, does not take an option, or rejects its
            value.

    Example:
        >>> kzoo.create_model("resnet10", classes=7).output_shape
        (None, 7)
    """
    # The builder and its arguments.
    variant = get_variant(name)
    builder = resolve(variant.builder)
    warn_if_redefined(variant.builder, f"model {name!r}")
    parameters = _parameters(builder)
    arguments = {**variant.options, **options}
    trained = _is_set(arguments.get("weights"))
    if trained and parameters is not None and "weights" not in parameters:
        return _with_weights(variant, parameters, options)
    trained = trained and isinstance(variant.builder, str) and variant.builder.startswith("kzoo.")
    if trained:
        source = full_name(variant.name, str(arguments["weights"]))
        weight_set = describe(find_set(source), source)  # the builder verifies the weights as it loads them
        set_options = weight_set.options if weight_set.model == variant.name else {}
        arguments = {**variant.options, **set_options, **options, "weights": source}

    # Refuse unknown options.
    if parameters is not None:
        for option in arguments:
            if option not in parameters:
                raise unknown(f"option of model {variant.name!r}", option, parameters)
    # A set of weights brings classes and input shape.
    defaults: dict[str, Any] = {} if trained else {"classes": variant.classes}
    if arguments.get("input_tensor") is None and not trained:
        defaults["input_shape"] = variant.input_shape
    if ":" not in variant.name:
        defaults["name"] = variant.name
    for option, value in defaults.items():
        if value is not None and arguments.get(option) is None and (parameters is None or option in parameters):
            arguments[option] = value
    return builder(**arguments)


def names_set(text: str) -> bool:
    """Whether a text alone names a set of weights: ``MODEL:TAG``, a set's folder, or the URL of its ``set.json``."""
    path = user_path(text)
    if (path / "recipe.json").is_file():  # a run
        return False
    if "://" in text or (path / DESCRIPTION).is_file() or path.name == DESCRIPTION:
        return True
    model, colon, _ = text.partition(":")
    return bool(colon) and not path.exists() and model in list_models()


def _is_set(weights: Any) -> bool:
    return weights is not None and not is_file(str(weights))


def _with_weights(variant: Variant, parameters: list[str], options: Mapping[str, Any]) -> keras.Model:
    """A model with the weights of a set, for a builder without a `weights` option."""
    from kzoo.models.trained import load_set, name_classes

    source = full_name(variant.name, str(options["weights"]))
    weight_set, path = open_set(source)
    set_options = {
        "classes": len(weight_set.class_names),
        "input_shape": weight_set.input_shape,
        "mean": weight_set.mean,
        "std": weight_set.std,
    }
    set_options = {option: value for option, value in set_options.items() if option in parameters and value is not None}
    rest = {option: value for option, value in options.items() if option != "weights"}
    model = create_model(variant.name, **{**weight_set.options, **set_options, **rest})
    load_set(model, weight_set.outline, path, source)
    if options.get("include_top", True):
        name_classes(model, weight_set.class_names)
    return model


def takes(name: str, option: str) -> bool:
    """Whether a model's builder takes an option (a custom builder need not take `mean` and `std`)."""
    parameters = builder_options(name)
    return parameters is None or option in parameters


def builder_options(name: str) -> list[str] | None:
    """Names of the options that a model's builder takes; None if it takes any or does not say."""
    return _parameters(resolve(get_variant(name).builder))


def builder_defaults(name: str) -> dict[str, Any]:
    """The default values of a model's options."""
    variant = get_variant(name)
    try:
        parameters = inspect.signature(resolve(variant.builder)).parameters.values()
    except (TypeError, ValueError):
        return dict(variant.options)
    return {p.name: p.default for p in parameters if p.default is not p.empty} | dict(variant.options)


def _parameters(builder: Callable[..., Any]) -> list[str] | None:
    """Names of the options that a builder takes; None if it takes any (``**options``) or does not say."""
    try:
        parameters = inspect.signature(builder).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def check_builder(name: str) -> None:
    """Refuse a ``module:function`` whose module does not exist; nothing is imported.

    Raises:
        InputError: there is no such module.
    """
    builder = get_variant(name).builder
    if isinstance(builder, str):
        check_module(builder, "model", lambda module: _no_module(builder, module))


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a model's builder does not take, as far as its source shows; nothing is imported.

    Raises:
        InputError: the builder does not take an option.
    """
    variant = get_variant(name)
    if not options or not isinstance(variant.builder, str):
        return
    taken = parameters_in_source(variant.builder)
    if taken is not None and variant.builder.startswith("kzoo."):
        taken = [*taken[1:], *(parameters_in_source("kzoo.models.families:_shared") or ())]
    for option in options:
        if taken is not None and option not in taken:
            raise unknown(f"option of model {variant.name!r}", option, taken)


def resolve(builder: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that ``"module:function"`` names; a callable is returned as it is.

    Raises:
        InputError: there is no such module, or no such function in it.
    """
    if not isinstance(builder, str):
        return builder
    return load_function(builder, "model", lambda module: _no_module(builder, module))


def _no_module(builder: str, module: str) -> str:
    name, _, tag = builder.partition(":")
    if REGISTRY.find(name) is None:
        return f"there is no module {module!r} on the Python path"
    if builder in list_weights():
        return (
            f"this is a set of weights of model {name!r}: create_model({name!r}, weights={tag!r}), or a recipe with "
            f"model={name!r} and initial_weights={builder!r}"
        )
    return (
        f"{name!r} is a model, and {tag!r} is not one of its sets of weights "
        f"({', '.join(list_weights(name)) or 'none'})"
    )


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which resnet9 comes before resnet10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
