"""Options in groups: a command takes dataclasses, and typer sees their fields.

    @dataclass(frozen=True)
    class Training:
        minutes: Annotated[float | None, typer.Option("--minutes", help="...")] = None

    @grouped
    def protect(model: Model, training: Training) -> None: ...

The command has `--minutes`, listed in the help under `Training`, and is called with `Training(minutes=...)`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.models import OptionInfo

from nfkit.errors import OptionError


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Spreads the dataclasses among a command's parameters into options.

    The title of a group in the help is the class's attribute `TITLE`.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            parameters += _spread(hint)
        else:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
    names = [parameter.name for parameter in parameters]
    assert len(names) == len(set(names)), f"an option of {command.__name__} is in two groups"

    @wraps(command)
    def spread(**given: Any) -> None:
        arguments = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **arguments)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def _spread(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for field in fields(group):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated, f"{group.__name__}.{field.name} says nothing of its option"
        kind, *extras = get_args(hint)
        option = copy.copy(next(extra for extra in extras if isinstance(extra, OptionInfo)))
        option.rich_help_panel = option.rich_help_panel or group.TITLE
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
            )
        )
    return parameters


def parse_shares(option: str, texts: list[str] | None) -> list[float] | None:
    """Numbers as people write shares: `0.01`, `1%`, several separated by commas, the option repeated.

    Raises:
        OptionError: When one is no number.
    """
    if not texts:
        return None
    parts = [part.strip() for text in texts for part in text.split(",")]
    return [parse_share(option, part, several=True) for part in parts]


def parse_share(option: str, text: str, *, several: bool = False) -> float:
    """A share, given as `2%` or `0.02`.

    Raises:
        OptionError: When it is neither.
    """
    number, percent = text.removesuffix("%").strip(), text.endswith("%")
    try:
        return float(f"{number}e-2") if percent else float(number)  # 0.1 % is 0.001, not 0.1 / 100
    except ValueError:
        more = "; several with commas between" if several else ""
        raise OptionError(f"{option} {text!r}: give a share such as 0.01 or 1%{more}") from None
