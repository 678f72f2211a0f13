from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from nfkit.cli.grouped import grouped, parse_shares
from nfkit.errors import OptionError


@dataclass(frozen=True)
class Fruit:
    TITLE: ClassVar[str] = "Fruit"
    apples: Annotated[int, typer.Option("--apples", help="How many.")] = 2
    kinds: Annotated[list[str] | None, typer.Option("--kind", help="Which.")] = None


@dataclass(frozen=True)
class Basket:
    TITLE: ClassVar[str] = "Basket"
    big: Annotated[bool, typer.Option("--big")] = False


seen = {}


@grouped
def carry(where: Annotated[str, typer.Argument()], fruit: Fruit, basket: Basket) -> None:
    """Carries fruit."""
    seen.update(where=where, fruit=fruit, basket=basket)


app = typer.Typer()
app.command()(carry)


def test_groups_arrive_as_their_classes():
    result = CliRunner().invoke(app, ["home", "--kind", "red", "--kind", "green", "--big"])
    assert result.exit_code == 0, result.output
    assert seen == {"where": "home", "fruit": Fruit(2, ["red", "green"]), "basket": Basket(True)}


def test_help_shows_each_group():
    text = CliRunner().invoke(app, ["--help"]).output
    assert "Carries fruit." in text
    assert text.index("Fruit") < text.index("--apples") < text.index("Basket") < text.index("--big")


def test_an_option_cannot_be_in_two_groups():
    @dataclass(frozen=True)
    class More:
        TITLE: ClassVar[str] = "More"
        apples: Annotated[int, typer.Option("--more-apples")] = 1

    def both(fruit: Fruit, more: More) -> None: ...

    both.__annotations__ = {"fruit": Fruit, "more": More, "return": None}
    with pytest.raises(AssertionError, match="both"):
        grouped(both)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1%"], [0.01]),
        (["0.1 %", "0.02,0.5%"], [0.001, 0.02, 0.005]),
        (["1e-3"], [0.001]),
        ([], None),
        (None, None),
    ],
)
def test_shares_as_people_write_them(texts, numbers):
    assert parse_shares("--ber", texts) == numbers


def test_a_word_is_no_share():
    with pytest.raises(OptionError, match="--ber 'low'"):
        parse_shares("--ber", ["low"])
