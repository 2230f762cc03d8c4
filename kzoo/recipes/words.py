"""Names of recipe fields in other tools, and errors that say what a field can be (no Keras)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kzoo.custom import registered
from kzoo.errors import InputError, shown, unknown

# Names in other tools, by recipe field.
MEANT = {
    "optimizer.learning_rate": "lr learning_rate rate base_lr init_lr initial_learning_rate step_size",
    "optimizer.momentum": "momentum",
    "optimizer": "optim opt solver",
    "schedule": "scheduler lr_scheduler lr_schedule lr_policy learning_rate_schedule decay",
    "weight_decay": "wd",
    "l2": "l2_reg weight_penalty",
    "warmup_epochs": "warmup warm_up warmup_steps warm_up_epochs",
    "clip_norm": "clipnorm global_clipnorm grad_clip gradient_clip gradient_clipping max_grad_norm",
    "lookahead": "look_ahead slow_weights",
    "early_stop": "early_stopping earlystopping",
    "early_stop.patience": "patience",
    "batch_size": "batch bs batchsize minibatch",
    "epochs": "num_epochs n_epochs nb_epoch max_epochs max_epoch",
    "seed": "random_seed random_state rng",
    "model_options.dropout": "dropout drop_rate dropout_rate",
    "dataset": "data dataset_name data_path data_folder",
    "class_names": "classes labels class_list",
    "background": "bg background_color background_colour",
    "image_size": "img_size size resolution resize input_size input_shape image_shape crop_size",
    "split.validation": "validation val validation_split val_split val_size validation_size",
    "split.test": "test test_split test_size",
    "train_size": "subset limit max_images num_images",
    "augmentation": "augment aug augmentations transform transforms data_augmentation",
    "normalization": "normalize normalise normalisation norm",
    "label_smoothing": "smoothing",
    "initial_weights": "weights pretrained checkpoint init_weights",
    "precision": "dtype amp fp16 bf16 mixed_precision",
    "ema": "ema_decay ema_momentum moving_average",
    "model": "arch architecture network net backbone",
    "freeze": "frozen freeze_layers",
}
_TYPE = re.compile(r"(constrained-)?(int|float|str)|literal\[.*\]")
"""Matches the parts of pydantic's locations that name one of several types of a field."""
_MEANT = {word: field for field, words in MEANT.items() for word in words.split()}


def meant(word: str) -> str | None:
    """The recipe field (dotted, if nested) that another tool's word means, or None."""
    return _MEANT.get(word.lower())


def unknown_field(field: str, schema: type[BaseModel]) -> InputError:
    """The error for a name that is not a recipe field."""
    other = meant(field)
    if other is not None:
        return InputError(f"unknown recipe field {field!r}: did you mean {other!r}?")
    return unknown("recipe field", field, schema.model_fields, everything=True)


def readable(error: ValidationError, schema: type[BaseModel]) -> InputError:
    """The first problem of a pydantic error as one sentence that names field and value, and what is allowed."""
    # The problem, its field, and the value.
    problem = _closest(error)
    field = str(problem["loc"][0]) if problem["loc"] else ""
    members = _members(schema.model_fields[field].annotation) if field in schema.model_fields else ()
    tags = {member.__name__ for member in members}
    location = ".".join(str(part) for part in problem["loc"] if "[" not in str(part) and part not in tags)
    value = shown(problem.get("input"), 80)

    # Kinds of problems for which pydantic's message says too little.
    match problem["type"]:
        case "extra_forbidden":
            if len(problem["loc"]) == 1:
                return unknown_field(field, schema)
            inside, _, last = location.rpartition(".")
            fields = _fields(schema, problem["loc"][:-1])  # an unknown field can have the name of a kind
            other = (meant(last) or last).rpartition(".")[2]
            near = f"did you mean {other!r}? " if other in fields else ""
            if not near and other in schema.model_fields:
                near = f"did you mean {other!r}, a field of the recipe itself? "
            return InputError(
                f"recipe field {location!r} does not exist: {near}{inside} has {', '.join(fields) or 'no fields'}"
            )
        case "union_tag_invalid":
            return unknown(field, problem["ctx"]["tag"], [*_tags(problem), *registered(field)], everything=True)
        case "union_tag_not_found" | "model_attributes_type" | "model_type" if field in schema.model_fields:
            kinds = _kinds(schema, problem["loc"])
            allowed = f"a kind or {{'kind': ...}} with its fields; kinds are {', '.join(kinds)}"
            alone = "a number, or " if field == "rate_multipliers" and len(problem["loc"]) > 1 else ""
            allowed = allowed if kinds else alone + ", ".join(_fields(schema, problem["loc"]))
            return InputError(f"recipe field {location!r} is {value}: it takes {allowed}")
        case "string_type" if field == "dataset":
            hint = "arrays go into a file (numpy.savez, npz:PATH) or come from a loader (kzoo.register_dataset)"
            return InputError(f"recipe field 'dataset' is {value}: it takes a name; {hint}")
        case "string_type" if isinstance(problem.get("input"), Mapping):
            entry = next((name for name in problem["input"] if name != "kind"), "kind")
            near = f": did you mean 'model_options.{entry}'?" if field == "model" else ""
            return InputError(f"recipe field {location!r} has no entries, so '{location}.{entry}' cannot be set{near}")
        case "string_type" if problem["loc"][-1] == "[key]":
            named = json.dumps({str(problem["input"]): "..."}).replace('"..."', "...")
            return InputError(f"recipe field {field!r} has the name {value}: names are text, as in {named}")
        case "dict_type" if location == field:
            return InputError(f'recipe field {field!r} is {value}: it takes {{"NAME": value}}, or {{}} for none')
        case "tuple_type":
            return InputError(f"recipe field {location!r} is {value}: it takes a list{_as_list(problem.get('input'))}")
        case "missing":
            return InputError(f"recipe field {location!r} is missing")
        case "value_error":
            text = str(problem["ctx"]["error"])
            return InputError(f"recipe field {location!r} {text}" if text.startswith("must ") else text)

    # All others in pydantic's words.
    message = problem["msg"][0].lower() + problem["msg"][1:]
    if location == field and field in schema.model_fields:
        message += _alternatives(schema.model_fields[field].annotation, problem)
    else:
        message += _other_members(error, problem)
    return InputError(f"recipe field {location!r} is {value}: {message}")


def _alternatives(annotation: Any, problem: Any) -> str:
    """What a field takes besides the names that pydantic's message lists."""
    text = ""
    if problem["type"] == "literal_error":
        for part in get_args(annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                text += f", or {{{', '.join(f'{json.dumps(name)}: ...' for name in part.model_fields)}}}"
            if get_origin(part) is dict:
                text += ', or {"NAME": number}'
    return f"{text}; null for none" if NoneType in get_args(annotation) and _means_none(problem.get("input")) else text


def _other_members(error: ValidationError, problem: Any) -> str:
    """What the other types of a nested field's union take: ``, or less than or equal to 255``."""
    *within, last = problem["loc"]
    if not _TYPE.fullmatch(str(last)):
        return ""
    others = [p for p in error.errors() if [*p["loc"][:-1]] == within and p["loc"][-1] != last]
    texts = [p["msg"].removeprefix("Input should be ") for p in others if _TYPE.fullmatch(str(p["loc"][-1]))]
    return "".join(f", or {text}" for text in texts)


def _means_none(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in ("", "none", "nil", "null")


def _as_list(value: Any) -> str:
    """Text rewritten as a list: ``: ["head", "tail"]``."""
    if not isinstance(value, str):
        return ""
    parts = [] if _means_none(value) else [part.strip(" '\"") for part in value.strip(" []").split(",")]
    return f": {json.dumps(parts)}"


def _closest(error: ValidationError) -> Any:
    """The first problem; if a mapping fits no member of a union, the one inside the member that takes mappings."""
    problems = error.errors()
    first = problems[0]
    if isinstance(first.get("input"), Mapping):
        inner = [p for p in problems if p["loc"][:1] == first["loc"][:1] and len(p["loc"]) > len(first["loc"])]
        return inner[0] if inner else first
    return first


def optional_setting(schema: type[BaseModel], field: str) -> bool:
    """Whether entries of a field can be set while it is None, because it takes a mapping or a setting of one kind."""
    annotation = schema.model_fields[field].annotation if field in schema.model_fields else None
    members = list(_members(annotation))
    one = len(members) == 1 and "kind" not in members[0].model_fields
    return one or any(get_origin(part) is dict for part in get_args(annotation))


def _tags(problem: Any) -> list[str]:
    return [tag.strip("' ") for tag in str(problem["ctx"]["expected_tags"]).split(",")]


def _kinds(schema: type[BaseModel], path: Any) -> list[str]:
    members = _members(schema.model_fields[str(path[0])].annotation)
    kind_fields = [member.model_fields["kind"] for member in members if "kind" in member.model_fields]
    return [*(str(kind.default) for kind in kind_fields if not kind.is_required()), *registered(str(path[0]))]


def _fields(schema: type[BaseModel], path: Any) -> list[str]:
    """The fields that a nested setting has; `path` names the kind after the field if there are several."""
    members = list(_members(schema.model_fields[str(path[0])].annotation))
    kinds = [member for member in members if "kind" in member.model_fields]
    if "[custom]" in path:
        chosen = [member for member in kinds if member.model_fields["kind"].is_required()]
    else:
        chosen = [member for member in kinds if member.model_fields["kind"].default in path] or members
    return list(dict.fromkeys(name for member in chosen for name in member.model_fields if name != "kind"))


def _members(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation such as ``tuple[A | B, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _members(part)
