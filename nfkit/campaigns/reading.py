"""Plans read from TOML: everything that is wrong with one is said at once, each with its key.

What only the models and data can tell (whether they load and fit) comes later, in `nfkit.workflows.campaigning`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from nfkit.access.runtime import Level
from nfkit.campaigns.complaints import Complaints
from nfkit.campaigns.plan import DEFAULT_RATES, CampaignPlan, ModelEntry, parse_kind
from nfkit.data.function import is_function
from nfkit.data.named import NAMED
from nfkit.energy import load_curve
from nfkit.errors import NfkitError, OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, parse_layout
from nfkit.faults.codes import find_storage_code
from nfkit.remedies.registry import parse_remedy
from nfkit.rim.text import as_utf8

_PLAN = {field.name: field for field in msgspec.structs.fields(CampaignPlan)}
_MODEL = {field.name: field for field in msgspec.structs.fields(ModelEntry)}
_LISTS = ("models", "data", "remedies", "kinds", "layouts", "storage", "rates", "voltages")
_SHARES = ("rates", "voltages", "until")


def read_plan(path: Path, changes: Mapping[str, Any] | None = None) -> CampaignPlan:
    """Reads and checks a plan.

    Args:
        path: A TOML file.
        changes: Values that take the place of the file's, by key.

    Raises:
        OptionError: With everything that is wrong in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionError(f"cannot read the plan '{path}': {error.strerror}") from error
    try:
        plain = msgspec.toml.decode(as_utf8(content))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"'{path}' is no TOML: {error}") from error
    return check_plan({**plain, **(changes or {})}, f"'{path}'")


def check_plan(plain: Mapping[str, Any], name: str = "the plan") -> CampaignPlan:
    """A plan from plain values, as TOML holds them.

    Args:
        plain: Values by key.
        name: What messages call the plan.

    Raises:
        OptionError: With everything that is wrong in it.
    """
    wrong = Complaints()
    values = _fields(plain, _PLAN, "", wrong)
    if "models" not in plain:
        wrong.add("models", 'give what to measure, such as models = ["model.onnx"]')
    if "models" in values:
        values["models"] = [_entry(entry, index, wrong) for index, entry in enumerate(values["models"])]
    wrong.check(name)  # all fields are of their types: now what they say
    plan = msgspec.convert(values, CampaignPlan)
    if not plan.rates and not plan.voltages:
        plan = msgspec.structs.replace(plan, rates=DEFAULT_RATES)
    _check(plan, wrong)
    wrong.check(name)
    return plan


def check_loaded(plan: CampaignPlan) -> None:
    """Refuses what is wrong in a plan that was made in Python.

    Raises:
        OptionError: With everything that is wrong in it.
    """
    check_plan(msgspec.to_builtins(plan))


def _fields(plain: Mapping[str, Any], known: Mapping[str, Any], where: str, wrong: Complaints) -> dict[str, Any]:
    """The values of known keys that are of their types; what is wrong with the others is added to `wrong`."""
    values = {}
    for key, given in plain.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            wrong.add(where + key, f"no such key; {hint}")
            continue
        value = [given] if key in _LISTS and isinstance(given, (str, int, float, Mapping)) else given
        try:
            if key in _SHARES:
                value = [_share(v) for v in value] if isinstance(value, (list, tuple)) else _share(value)
            if key != "models":
                value = msgspec.to_builtins(msgspec.convert(value, known[key].type))
            elif not isinstance(value, (list, tuple)):
                raise ValueError("give a list of paths or tables")
        except (msgspec.ValidationError, ValueError) as error:
            wrong.add(where + key, _plainly(str(error)))
            continue
        values[key] = value
    return values


def _entry(given: Any, index: int, wrong: Complaints) -> dict[str, Any]:
    where = f"models[{index}]"
    if isinstance(given, str):
        return {"file": given}
    if not isinstance(given, Mapping):
        wrong.add(where, "give a path, or a table with the key file")
        return {}
    if "file" not in given:
        wrong.add(where, "the key file is missing, which says where the model is")
    return _fields(given, _MODEL, f"{where}.", wrong)


def _share(value: Any) -> Any:
    """A number, which may be written as a share such as "1%"."""
    if not isinstance(value, str):
        return value
    number, percent = value.removesuffix("%").strip(), value.endswith("%")
    try:
        return float(f"{number}e-2") if percent else float(number)
    except ValueError:
        raise ValueError(f'{value!r} is no share: write 0.01 or "1%"') from None


def _check(plan: CampaignPlan, wrong: Complaints) -> None:
    """Looks for what is wrong with a plan whose fields are of their types."""
    require = wrong.require

    def each(key: str, values: tuple[Any, ...], check: Callable[[Any], object]) -> None:
        for value in values:
            with wrong.about(key):
                check(value)
        if repeated := sorted({str(value) for value in values if values.count(value) > 1}):
            wrong.add(key, f"{', '.join(repeated)} is there more than once, which would count its cells twice")

    for key in ("models", "remedies", "kinds", "layouts", "storage"):
        require(key, bool(getattr(plan, key)), "the list is empty; give at least one, or leave the key out")
    labels = [entry.label for entry in plan.models]
    for index, entry in enumerate(plan.models):
        require(f"models[{index}]", Path(entry.file).is_file(), f"there is no file '{entry.file}'")
        require(f"models[{index}]", labels.count(entry.label) == 1, f"two models are called '{entry.label}': name one")
        each(f"models[{index}].data", entry.data, _check_data)
    each("data", plan.data, _check_data)
    each("remedies", plan.remedies, parse_remedy)
    each("kinds", plan.kinds, lambda text: BitErrors(0.0, *parse_kind(text)))
    each("layouts", plan.layouts, parse_layout)
    each("storage", plan.storage, find_storage_code)
    each("rates", plan.rates, lambda rate: BitErrors(rate, *_first_kind(plan)))
    each("curve", (plan.curve,), load_curve)
    require(
        "voltages", not (plan.rates and plan.voltages), "rates and voltages both say how strong errors are; give one"
    )
    each("voltages", plan.voltages, _check_volts)
    require("samples", plan.samples is None or plan.samples >= 2, "give at least 2, or leave it out for all")
    if plan.metric is not None:
        require("metric", is_function(plan.metric), f"{plan.metric!r}: give module:function, or file.py:function")
        require("until", plan.until is None, "it counts points of accuracy; with a metric, give a number of chips")
        require("labels", plan.labels == "data", "a metric has targets of its own, or the base's outputs for them")
        require("data", bool(plan.data) or all(e.data for e in plan.models), "a metric needs samples to be named")
    require("labels", plan.labels in ("data", "base"), f"{plan.labels!r}: choose data or base")
    require("level", plan.level in get_args(Level), f"{plan.level!r}: choose one of {', '.join(get_args(Level))}")
    require("chips", plan.chips >= 1, "give at least 1")
    require("until", plan.until is None or 0 < plan.until < 0.5, 'give a half width between 0 and 0.5, such as "1%"')
    require("until", plan.until is None or plan.chips >= 2, "an interval takes chips = 2 or more")
    require("max_chips", plan.max_chips is None or plan.until is not None, "it ends the rule until; give that as well")
    require("max_chips", plan.max_chips is None or plan.max_chips >= plan.chips, f"give at least chips, {plan.chips}")
    known = EVALUATION_CHIPS
    require(
        "first_chip",
        plan.first_chip in known and plan.seeds[-1] in known if plan.seeds else True,
        f"chips {plan.first_chip} to {plan.first_chip + plan.most_chips - 1} leave those that nothing is trained or "
        f"chosen on, {known[0]} to {known[-1]}",
    )


def _first_kind(plan: CampaignPlan) -> tuple[str, float]:
    """The first kind that reads, since rates are checked by one; what is wrong with kinds is said elsewhere."""
    for text in plan.kinds:
        try:
            name, share = parse_kind(text)
            BitErrors(0.0, name, share)
        except NfkitError:
            continue
        return name, share
    return "stuck", 0.5


def _check_volts(volts: float) -> None:
    if not 0 < volts <= 1:
        raise OptionError(f"{volts:g} is no supply voltage over Vmin: give one above 0 and up to 1")


def _check_data(source: str) -> None:
    """Refuses a path that is not there; names of data sets and functions are looked up when they load."""
    if source not in NAMED and not is_function(source) and not Path(source).expanduser().exists():
        raise OptionError(f"there is no data at '{source}'")


def _plainly(message: str) -> str:
    """A message of msgspec without its own way of saying where."""
    message = re.sub(r" - at `\$\.?(.*)`", lambda found: f" at {found[1]}" if found[1] else "", message)
    return message.replace("`", "")
