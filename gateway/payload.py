"""A request's body as a JSON object, and what is wrong with it as the refusal that the sender gets.

Reading fields is `core.payload`'s; `naming_fields` turns its complaints into answers with status 400.
"""

import functools
import json
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from core.payload import BadField, name_of
from gateway.problems import Refused, bad_field

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def naming_fields(read: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """`read`, whose `BadField` becomes `Refused` (400) naming the field."""

    @functools.wraps(read)
    def reading(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        try:
            return read(*arguments, **named)
        except BadField as error:
            raise bad_field(error.field, error.problem) from error

    return reading


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises `Refused` (400) saying what is wrong with it."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Refused(400, "malformed", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Refused(
            400, "malformed", f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise Refused(400, "malformed", "the body is nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise Refused(400, "malformed", "the body holds a number of too many digits") from error
    if not isinstance(value, dict):
        raise Refused(400, "malformed", f"the body must be a JSON object, not {name_of(value)}")
    return value


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)
