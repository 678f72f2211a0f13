"""Keywords that functions share: named once, and the same everywhere."""

import inspect

import pytest

import nfkit
from nfkit.cli.groups import Faults
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.workflows.inputs import find_spec
from nfkit.workflows.memory import INPUT, MEMORY, Memory, Settings, divide, read_settings


def test_the_signatures_know_every_keyword_and_no_other():
    assert set(Settings.__annotations__) == {*MEMORY, *INPUT}
    named = inspect.signature(find_spec).parameters.values()
    assert tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY) == INPUT


def test_a_command_says_what_the_library_says():
    assert Memory(**Faults().settings()) == Memory(layout="iid")
    assert set(Faults().settings()) == set(MEMORY)


def test_keywords_are_divided_without_loss():
    given = {"kind": "flip", "ecc": "secded-64", "value_range": (0.0, 1.0), "seed": 3}
    memory, form, rest = divide(given)
    assert memory == Memory(kind="flip", ecc="secded-64")
    assert memory.errors == BitErrors(0.0, "flip", ecc="secded-64")
    assert form == {"value_range": (0.0, 1.0)}
    assert rest == {"seed": 3}


@pytest.mark.parametrize("function", [nfkit.evaluate, nfkit.score], ids=lambda f: f.__name__)
def test_a_keyword_that_does_not_exist_is_named(function):
    arguments = ("model.onnx", "data.npz") + (("metrics.py:rmse",) if function is nfkit.score else ())
    with pytest.raises(OptionError, match="there is no setting 'kinds': of the memory and the input there are curve"):
        function(*arguments, kinds="flip")


def test_nothing_given_is_the_default():
    assert read_settings({}) == (Memory(), {})
