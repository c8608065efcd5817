"""From strict YAML to typed objects: every mistake of a model is told with the line on which it stands."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError

from jobs.contracts.base import Strict
from jobs.contracts.errors import ContractError, Mistake, Wrong, nearest
from jobs.contracts.rule import Rule
from jobs.contracts.yaml_file import Place, YamlFile

M = TypeVar("M", bound=Strict)


def typed(file: YamlFile, model: type[M]) -> M:
    """Raises ContractError with every mistake that the model finds. Only the YAML's own key names are taken, not
    those of the Python fields."""
    try:
        return model.model_validate(file.data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ContractError(mistakes_of(file, error, model)) from error


def mistakes_of(file: YamlFile, error: ValidationError, model: type[Strict]) -> list[Mistake]:
    """Each mistake once: a key that is missing because it is misspelt is told as that."""
    errors: list[Any] = error.errors()
    misspelt = {
        (*e["loc"][:-1], near)
        for e in errors
        if e["type"] == "extra_forbidden"
        for near in get_close_matches(str(e["loc"][-1]), _missing(errors, e["loc"][:-1]), n=1)
    }
    told = [e for e in errors if e["type"] != "missing" or e["loc"] not in misspelt]
    return [mistake for one in told for mistake in _mistakes(file, one, model)]


def _missing(errors: list[Any], location: Place) -> list[str]:
    return [str(e["loc"][-1]) for e in errors if e["type"] == "missing" and e["loc"][:-1] == location]


def _mistakes(file: YamlFile, error: Any, model: type[Strict]) -> list[Mistake]:
    location: Place = error["loc"]
    own = error.get("ctx", {}).get("error")
    where = ".".join(str(part) for part in location)
    if isinstance(own, Wrong):
        # A table names what is wrong in it; a value deeper down does not know what it is the value of.
        named = f"{where}: " if where else ""
        return [
            Mistake(*file.where(_place(file, (*location, *place))), f"{named}{found}", remedy)
            for place, found, remedy in own.found
        ]
    where = where or file.path.stem
    if error["type"] == "extra_forbidden":
        found, remedy = f"unknown key {where}", _known_keys(model, location)
    elif error["type"] == "missing":
        found, remedy = f"{where} is missing", "Add it"
    else:
        found, remedy = f"{where}: {error['msg'].removeprefix('Value error, ')}", "Correct it"
    return [Mistake(*file.where(_place(file, location)), found, remedy)]


def _place(file: YamlFile, location: Place) -> Place:
    """Where in the file a model's location is. The model knows parts that the file has not: the tag of a variant, a column's
    options as if they were its own."""
    place: Place = ()
    here, tagged = file.data, None
    for part in location:
        if isinstance(here, dict) and here is not tagged and here.get("kind") == part:
            tagged = here  # the tag of a variant, which may be the name of a key too (`copybook`)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            place, here = (*place, part), here[part]
        elif isinstance(here, list) and isinstance(here[-1], dict) and part in here[-1]:
            place, here = (*place, len(here) - 1, part), here[-1][part]
        elif isinstance(here, dict) and part in here:
            place, here = (*place, part), here[part]
    return place


def _known_keys(model: type[Strict], location: Place) -> str:
    """The remedy for a key that does not exist: the nearest one that does, and all of them."""
    inner = _model_at(model, location[:-1])
    known = sorted(field.alias or name for name, field in inner.model_fields.items()) if inner else []
    if inner is Rule:
        known = ["id", "onFail", "description", "expect_..."]
    return f"{nearest(str(location[-1]), known)} Keys here: {', '.join(known)}"


def _model_at(kind: Any, location: Place) -> type[Strict] | None:
    """The model that stands at a location below `kind`; None where no model does."""
    for part in location:
        kind = _inner(kind, part)
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    models = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, Strict)]
    return models[0] if models else None


def _inner(kind: Any, part: str | int) -> Any:
    """One step down: a field of a model, a value of a mapping, an item of a list, or the variant that a tag names."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, Strict):
        return next((f.annotation for name, f in kind.model_fields.items() if part in (f.alias, name)), None)
    if get_origin(kind) in (dict, list):
        return get_args(kind)[-1]
    for variant in get_args(kind):
        if isinstance(variant, type) and issubclass(variant, Strict):
            tag = variant.model_fields.get("kind")
            if tag is None:
                return _inner(variant, part)
            if get_origin(tag.annotation) is Literal and part in get_args(tag.annotation):
                return variant
    return None
