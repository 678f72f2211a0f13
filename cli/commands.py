"""The commands by section: a command's module is imported when the command is called, and not before.

The list that `nfkit --help` shows needs none of them. `nfkit.cli.NAME` holds the command `NAME`: a function, or a
typer.Typer where it has commands of its own.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

SECTIONS: dict[str, dict[str, str]] = {
    "Protect": {
        "plan": "Find the least energy at which the model loses no more than --max-loss, without any training.",
        "protect": "Train a generator for a frozen model and fuse the two into one file that withstands bit errors.",
        "evaluate": "Measure accuracy under bit errors: rates x chips, of the base and of the protected model.",
        "search": "Train generators of several sizes, and show which give the most accuracy for the energy that they "
        "save.",
        "transfer": "Give the evidence of a trained generator to another base, such as one without gradients, or "
        "behind an address.",
        "tune": "Shift the balance between generator and base in a protected model, without training.",
    },
    "Look into a model": {
        "inspect": "Show what a model stores as integers, what it takes, and what stands against protecting it.",
        "energy": "Count what an inference reads and computes, and what lower voltage saves with a generator in front.",
        "vulnerability": "Map where bit errors hurt: accuracy lost by errors in one bit of one weight site alone, for "
        "all of them.",
        "campaign": "Measure many models, remedies, errors and chips by a plan; the word run may be left out.",
        "maps": "Show fault maps that were measured: how many cells fail at each voltage, and how they crowd.",
    },
    "Change a model": {
        "quantize": "Quantise a float model: weights to 8 or fewer bits, activations to 8, with accuracy before and "
        "after.",
        "fold": "Write a copy that stores its weights as the integers that its graph makes of them (exports of QAT, "
        "QONNX).",
        "inject": "Write a copy of a model with the bit errors of one chip in it, or take them out again.",
        "split": "Take a protected model apart into generator, base and answer, and prove that the base is what was "
        "protected.",
    },
    "Ship it": {
        "verify": "Prove that a protected file is what nfkit wrote: base, generator, answer, and nothing besides.",
        "sign": "Sign a model and the data beside it with a key of your own, offline (OpenSSF Model Signing).",
        "check": "Say where a model runs: what each runtime does not take, what nfkit export would change, and how it "
        "then answers.",
        "export": "Write a model as a runtime takes it, run what was written there, and compare its answers.",
        "modes": "Give a protected file modes that a host switches while it runs: nominal, and levels of low voltage.",
        "canary": "Choose a few inputs by whose answers a device tells its bit error rate, its accuracy, and the best "
        "mode.",
        "serve": "Answer at an address with a model, as a device at low voltage would: the Open Inference Protocol "
        "(v2) over HTTP.",
    },
    "Show it": {
        "report": "Show records and models as one HTML file: verdict, pictures, tables, and what the numbers depend "
        "on.",
        "page": "Write a web page in which the model itself runs, with a slider for the voltage: one file, without a "
        "network.",
        "plot": "Draw accuracy under errors against energy saved, one point a generator and bit error rate.",
        "explain": "Say what a word in an output means: bit error rate, pair, trust, interval and the like.",
        "models": "List the models that come with nfkit, and write them as ONNX files.",
    },
}
"""What each command does, in the first sentence of its own help."""

SUMMARIES = {name: summary for section in SECTIONS.values() for name, summary in section.items()}


class Commands(TyperGroup):
    """The program: its commands by section, each imported when it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, summary in SUMMARIES.items():
            self.add_command(TyperCommand(name, help=summary))  # stands in until it is called

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Shows the help where nothing is asked for."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found if name is None else load(name), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Plain text: to import what draws frames takes longer than everything else here."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        for section, summaries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(summaries.items()))
        options = [shown for option in self.get_params(ctx) if (shown := option.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(options)


def load(name: str) -> Any:
    """The command of a name, with its examples.

    Args:
        name: A name in `SUMMARIES`.
    """
    from nfkit.cli.examples import epilog

    command = getattr(import_module(f"nfkit.cli.{name}"), name)
    if isinstance(command, typer.Typer):
        command.info.epilog = epilog(name)
        return _named(name, typer.main.get_group(command))
    # A Typer of one command stands for it.
    alone = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    alone.command(name, epilog=epilog(name))(command)
    return _named(name, typer.main.get_command(alone))


def _named(name: str, command: Any) -> Any:
    command.name = name
    _unwrap(command)
    return command


def _unwrap(command: Any) -> None:
    """Joins the lines of each paragraph: Typer does so with the first alone, and keeps the others as they are."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None
    for below in getattr(command, "commands", {}).values():
        _unwrap(below)
