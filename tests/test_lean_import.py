from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "nfkit",
        "nfkit.cli.main",
        "nfkit.faults",
        "nfkit.data",
        "nfkit.graph",
        "nfkit.measure",
        "nfkit.plans.energy_analysis",
        "nfkit.workflows.evaluation",
        "nfkit.workflows.planning",
        "nfkit.workflows.protection",
        "nfkit.reports.reading",
        "nfkit.workflows.reporting",
    ],
)
def test_import_comes_without_torch(module: str) -> None:
    script = f"import sys, {module}\nprint(sorted(m for m in sys.modules if m.partition('.')[0] == 'torch'))"
    result = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_data_comes_without_pillow() -> None:
    script = "import sys, nfkit.data\nprint('PIL' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("arguments", [["--help"], ["-V"], []], ids=["help", "version", "nothing"])
def test_the_list_of_commands_comes_without_what_they_need(arguments: list[str]) -> None:
    heavy = {"numpy", "onnx", "onnx_ir", "scipy", "msgspec", "rich", "nfkit.cli.protect", "nfkit.cli.console"}
    script = (
        f"import sys\nfrom nfkit.cli.main import main\nsys.argv = ['nfkit', *{arguments}]\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\nprint(sorted({heavy} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
