"""Data sets that a user's own function returns."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from nfkit.data.dataset import Dataset, Split
from nfkit.data.iterables import from_object
from nfkit.data.limits import ImageShape
from nfkit.errors import DataError, NfkitError

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_FILE = re.compile(r".+\.py:[A-Za-z_]\w*")


def is_function(source: str) -> bool:
    """Whether the source is written as `module:function` or `path/to/file.py:function`."""
    return bool(_FILE.fullmatch(source) or _MODULE.fullmatch(source))


def load_function(source: str, split: Split, wanted: ImageShape | None = None) -> Dataset:
    """Calls `module:function` or `file.py:function`, with `split=...` where it takes that.

    It returns (x, y), x alone, a `Dataset`, a torch Dataset or DataLoader, or whatever `from_object` takes. Modules in
    the current directory can be named; a file can import what lies beside it.

    Raises:
        DataError: The module cannot be imported, has no such function, or it fails or returns something else.
    """
    with _function(source) as function:
        takes_split = _takes_split(function)
        try:
            result = function(split=split) if takes_split else function()
            data, one_of_two = from_object(source, result, split, wanted)
        except NfkitError:
            raise
        except (Exception, SystemExit) as error:
            raise describe_failure(source, error) from error
    return data.changed(whole=not takes_split and not one_of_two)


def call(source: str, split: Split) -> Any:
    """What `module:function` or `file.py:function` returns, as it is.

    Raises:
        DataError: As `load_function`.
    """
    with _function(source) as function:
        try:
            return function(split=split) if _takes_split(function) else function()
        except (Exception, SystemExit) as error:
            raise describe_failure(source, error) from error


def load_callable(source: str) -> Callable[..., Any]:
    """The function itself, such as a metric; what it imports lies beside it or in the current folder.

    Raises:
        DataError: When there is none.
    """
    if not is_function(source):
        raise DataError(f"'{source}' names no function: write module:function, or file.py:function")
    with _function(source) as function:
        return function


def files_behind(source: str) -> tuple[Path, ...]:
    """The files that a function is named by and defined in; none where it is built into Python.

    Raises:
        DataError: As `load_callable`.
    """
    where = source.rpartition(":")[0]
    function = inspect.unwrap(load_callable(source))
    named = where if where.endswith(".py") else getattr(sys.modules.get(where), "__file__", None)
    defined = getattr(getattr(function, "__code__", None), "co_filename", None)
    files = [Path(file).expanduser().resolve() for file in (named, defined) if file]
    return tuple(file for file in dict.fromkeys(files) if file.is_file())


def describe_failure(source: str, error: BaseException) -> DataError:
    """A failure in a user's function, with its place there."""
    return DataError(f"{source} failed with {_describe(error)}; mend it there.")


@contextmanager
def _function(source: str) -> Iterator[Callable[..., Any]]:
    where, _, name = source.rpartition(":")
    folder = Path(where).expanduser().resolve().parent if where.endswith(".py") else Path.cwd()
    with _importable(folder):
        yield _find(where, name, source)


def _find(where: str, name: str, source: str) -> Callable[..., Any]:
    try:
        module = _import_file(Path(where).expanduser()) if where.endswith(".py") else importlib.import_module(where)
    except NfkitError:
        raise
    except (Exception, SystemExit) as error:  # The module is the user's; importing it may raise anything, or exit.
        raise DataError(
            f"Cannot import {where} for {source}: {_describe(error)}; "
            "run from the folder that holds the module, or install it."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{where} has no function {name}; define it, or name another one.")
    return function  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give the path of the Python file that holds the function.")
    # A name of its own, so that a file called like an installed module is not taken for it.
    spec = importlib.util.spec_from_file_location(f"nfkit_data_from_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Classes in it can be pickled only if their module is found, which loaders with workers need.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _takes_split(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # Built-in functions need not have a signature.
        return False
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return True
    return "split" in parameters and parameters["split"].kind is not inspect.Parameter.POSITIONAL_ONLY


def _describe(error: BaseException) -> str:
    """Type, text and place of an error: the command line shows no traceback, and this is the user's code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{said} ({frame.filename}, line {frame.lineno})"


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    here = str(folder)
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
