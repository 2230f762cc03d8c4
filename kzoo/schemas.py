"""Schema versions of the files that kzoo writes, and fields added in later versions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kzoo.checks import is_whole
from kzoo.errors import InputError, first_line, shown, unknown
from kzoo.files import read_json

Schema = TypeVar("Schema", bound=BaseModel)


def check_version(fields: Mapping[str, Any], kind: str, supported: int) -> None:
    """Refuse data written under a schema that this version of kzoo does not know."""
    version = fields.get("schema_version", supported)
    if not is_whole(version):
        raise InputError(f"schema_version of a {kind} must be a positive integer, not {shown(version)}")
    if version > supported:
        raise InputError(
            f"{kind} has schema_version {version}, newer than {supported}, the newest this kzoo reads: upgrade kzoo"
        )


class _Signature:
    """The signature of a model that pydantic has not built yet (``defer_build``): looking at it builds the model."""

    def __get__(self, instance: object, owner: type[BaseModel]) -> inspect.Signature:
        owner.model_rebuild()  # which replaces this attribute
        return owner.__signature__


class Validated(BaseModel):
    """Base of user input: refuses True as a number (``epochs=true``), and a set, which has no order, as a list."""

    if not TYPE_CHECKING:  # type checkers keep pydantic's signature

        def __init__(self, /, **fields: Any) -> None:
            """Validate the fields; an `InputError` names the first wrong one and what is allowed."""
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise self._in_words(error) from None

        # Without this mark, pydantic would call the constructor for nested data, too, and lose where a problem is.
        __init__.__pydantic_base_init__ = True

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        if not cls.__pydantic_complete__:  # `help` would show no arguments, or those of the base class
            cls.__signature__ = _Signature()  # type: ignore[assignment]

    @classmethod
    def _in_words(cls, error: ValidationError) -> InputError:
        """The first problem of the fields in one sentence."""
        return _wrong_argument(cls, error)

    @model_validator(mode="before")
    @classmethod
    def _no_guesses(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, dict) else ():
            if name in cls.model_fields and isinstance(value, set | frozenset):
                raise ValueError(f"{name} must be a list (its order matters), not {value!r}")
            inside = value.values() if isinstance(value, Mapping) else value
            held = inside if isinstance(value, Mapping | list | tuple) else [value]
            if name in cls.model_fields and any(isinstance(item, bool) for item in held):
                types = set(_scalars(cls.model_fields[name].annotation))
                if types & {int, float} and not types & {bool, Any}:
                    wanted = f"a number{' or text' if str in types else ''}"
                    where = name if held == [value] else f"each entry of {name}"
                    raise ValueError(f"{where} must be {wanted}, not {value!r}")
        return data


def _wrong_argument(schema: Any, error: ValidationError) -> InputError:
    """The first problem of a constructor's arguments in one sentence."""
    problem, *others = error.errors()
    name = schema.__name__
    field = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        return unknown(f"argument of {name}", field, schema.model_fields, everything=True)
    if problem["type"] == "missing":
        return InputError(f"{name} needs the argument {field!r}")
    if problem["type"] == "value_error":
        text = str(problem["ctx"]["error"])
        return InputError(f"{name}: {field} {text}" if text.startswith("must ") else f"{name}: {text}")
    # A field of several types has a problem for each.
    texts = [problem["msg"], *(other["msg"] for other in others if other["loc"][:1] == problem["loc"][:1])]
    message = ", or ".join(text.removeprefix("Input should be ") for text in dict.fromkeys(texts))
    return InputError(f"{name}: {field} is {shown(problem['input'], 80)}: it must be {message}")


def _scalars(annotation: Any) -> Iterator[Any]:
    """The plain types inside an annotation such as ``tuple[str | int, ...] | None``, without the keys of mappings."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for part in arguments[1:] if get_origin(annotation) in (dict, Mapping) else arguments:
        yield from _scalars(part)


class Frozen(BaseModel):
    """Base of the data in kzoo's files: unknown fields are refused, and fields cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def read_record(path: Path, schema: type[Schema], what: str, supported: int, advice: str = "") -> Schema:
    """A record that kzoo wrote to a JSON file.

    Args:
        path: of the file.
        schema: the record's model.
        what: content of the file, for messages.
        supported: the newest version of the schema that this version of kzoo knows.
        advice: what to do about a file that cannot be read.

    Raises:
        InputError: the file is missing, damaged, or of a newer schema.
    """
    fields = read_json(path, what, advice)
    try:
        check_version(fields, f"{what} {str(path)!r}", supported)
        return schema(**fields)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        first = first_line(error)
        if isinstance(error, ValidationError):
            problem = error.errors()[0]
            first = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        raise InputError(f"{what} {str(path)!r} cannot be read ({first}){advice}") from None


UNSET = object()


def later(default: Any, *, before: Any = UNSET, since: int = 0, **options: Any) -> Any:
    """A field added after a schema's first release; `identity_fields` leaves it out if it changes nothing.

    A recipe that does not use the field thus keeps the digest that it had before the field existed.

    Args:
        default: the field's default value.
        before: the value that stands for the behaviour before the field existed; `default` if not given. It must
            never change.
        since: first schema version with `default`; data of an earlier version is read with `before` (see
            `upgraded`). Only needed if the two differ.
        **options: arguments of `pydantic.Field`.
    """
    before = default if before is UNSET else before
    return Field(default, json_schema_extra={"before": before, "since": since}, **options)


def kind_alone(value: Any) -> Any:
    """Expand the name of a kind to a kind with default options: ``"adam"`` becomes ``{"kind": "adam"}``."""
    return {"kind": value} if isinstance(value, str) else value


def upgraded(model: type[BaseModel], fields: Mapping[str, Any], version: int) -> dict[str, Any]:
    """`fields` written under schema `version`, with the earlier behaviour filled in for later fields of `model`."""
    added = dict(fields)
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and name not in fields and version < int(str(extra.get("since", 0))):
            added[name] = extra["before"]
    return added


def identity_fields(model: BaseModel) -> dict[str, Any]:
    """A model's fields as JSON-ready data, without `later` fields (at any depth) that keep the earlier behaviour."""
    kept = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "before" in extra and value == extra["before"]:
            continue
        kept[name] = value
    dumped = model.model_dump(mode="json", include=set(kept))
    return {name: _nested(value, dumped[name]) for name, value in kept.items()}


def _nested(value: Any, dumped: Any) -> Any:
    """`dumped`, with the models inside `value` reduced to their identity."""
    if isinstance(value, BaseModel):
        return identity_fields(value)
    if isinstance(value, tuple | list):
        return [_nested(*pair) for pair in zip(value, dumped, strict=True)]
    if isinstance(value, dict):
        return {key: _nested(part, dumped[key]) for key, part in value.items()}
    return dumped
