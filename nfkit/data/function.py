"""Data sets that a user's own function returns."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nfkit.data.dataset import Dataset, Split, from_arrays
from nfkit.errors import DataError, NfkitError


def load_function(source: str, split: Split) -> Dataset:
    """Calls `module:function`, with `split=...` where it takes that; it returns (x, y) or a `Dataset`.

    Modules in the current directory can be named.

    Raises:
        DataError: The module cannot be imported, has no such function, or it fails or returns something else.
    """
    with _current_directory_importable():
        function = _find(source)
        try:
            result = function(split=split) if _takes_split(function) else function()
        except NfkitError:
            raise
        except Exception as error:
            raise DataError(f"{source} failed with {_describe(error)}; mend it there.") from error
    if isinstance(result, Dataset):
        return result
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise DataError(f"{source} returned a {type(result).__name__}; return (x, y) or a nfkit.data.Dataset.")
    try:
        x, y = (np.asarray(part) for part in result)
    except Exception as error:
        raise DataError(
            f"{source} returned something that makes no array ({_describe(error)}); return (x, y) as NumPy arrays."
        ) from error
    return from_arrays(source, x, y)


def _find(source: str) -> Callable[..., Any]:
    module_name, _, function_name = source.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # The module is the user's; importing it may raise anything.
        raise DataError(
            f"Cannot import {module_name} for --data {source}: {_describe(error)}; "
            "run from the folder that holds the module, or install it."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise DataError(f"{module_name} has no function {function_name}; define it, or name another one.")
    return function  # type: ignore[no-any-return]


def _takes_split(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # Built-in functions need not have a signature.
        return False
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return True
    return "split" in parameters and parameters["split"].kind is not inspect.Parameter.POSITIONAL_ONLY


def _describe(error: Exception) -> str:
    """Type, text and place of an error: the command line shows no traceback, and this is the user's code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    # A console script starts with its own folder on the path, not with the current one.
    if here in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
