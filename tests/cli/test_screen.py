"""What a terminal shows, and a pipe: read from a real pseudo-terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nfkit.reports.reading import read

WIDE = """
from nfkit.cli.screen import show_overview
from nfkit.reports.rendering import Overview, Table
columns = tuple(f"a column called {name}" for name in "abcdefgh")
rows = (tuple(f"{n}{n}.{n} ± {n}.0" for n in range(1, 9)),)
show_overview(Overview("the first sentence, which matters most of all that are on this screen, and which is long",
                       "what the numbers are", Table(columns, rows), ("a note [that] is no markup",)))
"""

SHOWN = """
from pathlib import Path
from nfkit.cli.screen import show_overview
from nfkit.reports.reading import read
from nfkit.reports.seen import chart_of
record = read(Path({path!r}))
show_overview(record.overview(), chart_of(record))
"""

STEPS = """
from contextlib import closing
from nfkit.cli.progress_display import ProgressDisplay
from nfkit.progress import Counter
with closing(ProgressDisplay()) as display:
    count = Counter("measuring", 200, display)
    for _ in range(200):
        count("chip 50000")
    display.say("a sentence")
"""

SLOW = """
from nfkit.cli.progress_display import ProgressDisplay
from nfkit.progress import Progress
ProgressDisplay.longest_silence = {silence}
display = ProgressDisplay()
for chip in (1, 2, 3):
    display(Progress("looking", 0, 2, None, f"bare, chip {{chip}}"))
display(Progress("looking", 1, 2, 60.0, "bare"))
"""

STOPPED = """
import sys
from nfkit.cli.interrupts import acknowledged
try:
    with acknowledged("what was measured is kept"):
        try:
            print("ready", flush=True)
            sys.stdin.readline()
        except KeyboardInterrupt:
            print("finishing", flush=True)
            sys.stdin.readline()
except KeyboardInterrupt:
    sys.exit(130)
"""


def in_terminal(script, columns=80, **environment):
    """What a terminal of so many columns gets from a script."""
    master, slave = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    env = {**kept, "TERM": "xterm", "COLUMNS": str(columns), **environment}
    process = subprocess.Popen([sys.executable, "-c", script], stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0
    return shown.decode()


def in_pipe(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)


def plain(shown):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "")


@pytest.mark.parametrize("columns", [80, 132])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_left_out(columns):
    shown = plain(in_terminal(WIDE, columns))
    assert max(map(len, shown.splitlines())) <= columns
    assert [value for value in ("1.1", "8.8") if value not in shown.replace("\n", "")] == []
    assert "a note [that] is no markup" in shown
    assert shown.startswith("the first sentence")


KEYED = """
from nfkit.cli.screen import show_table
from nfkit.reports.rendering import Table
figures = tuple(f"a figure called {name}" for name in "abcdef")
rows = tuple(("model.onnx", kind, *(f"{n}.{kind}{n} to {n}.999999999" for n in range(6))) for kind in ("stuck", "flip"))
show_table(Table(("model", "kind", *figures), rows, KEYS))
"""


@pytest.mark.parametrize(("keys", "said"), [(1, 1), (2, 3)])
def test_what_tells_rows_apart_stands_in_every_part_of_a_table(keys, said):
    shown = plain(in_terminal(KEYED.replace("KEYS", str(keys))))
    assert max(map(len, shown.splitlines())) <= 80
    assert len(re.findall(r"\bstuck\b", shown)) == said
    assert [n for n in range(6) if f"{n}.flip{n} to" not in shown] == []


RECORDS = {
    "evaluate": "evaluate_mlperf_tiny_resnet8_cifar10_int8_qdq_iid_steps.json",
    "evaluate, protected": "evaluate_resnet20.nf_iid.json",
    "protect": "protect_resnet20_auto.json",
    "evaluate --bits": "bits_resnet20.nf.json",
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_fit_80_columns_and_headings_stay_whole(name):
    path = str(Path(__file__).parents[2] / "docs" / "results" / RECORDS[name])
    shown = plain(in_terminal(SHOWN.format(path=path)))
    assert max(map(len, shown.splitlines())) <= 80
    overview = read(Path(path)).overview()
    for column in overview.table.columns:
        for word in column.split():
            assert re.search(rf"(?<!\S){re.escape(word)}(?!\S)", shown), word
    for row in overview.table.rows:
        for cell in row:
            assert re.search(rf"(?<!\S){re.escape(cell)}(?!\S)", shown), cell


def test_a_command_in_a_terminal_stays_within_80_columns(files, tmp_path):
    arguments = ["evaluate", str(files.fused), "--data", str(files.data), "--ber", "1%,0.5%", "--chips", "2"]
    script = f"import sys\nfrom nfkit.cli.main import main\nsys.argv = ['nfkit', *{arguments!r}]\nmain()"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", in_terminal(script, PYTHONIOENCODING="utf-8"))
    assert max(len(line) for line in re.split(r"[\r\n]+", shown)) <= 80
    assert "Accuracy over supply voltage" in shown
    assert "■ base with errors" in shown
    without = (
        f"import sys\nfrom nfkit.cli.main import main\nsys.argv = ['nfkit', *{[*arguments, '--no-chart']!r}]\nmain()"
    )
    assert "■" not in in_terminal(without, PYTHONIOENCODING="utf-8")


COMMANDS = {
    "plan": ["--max-loss", "20%", "--confidence", "50%", "--chips", "2"],
    "protect": ["--max-loss", "20%", "--confidence", "50%", "--chips", "2", "--epochs", "0.2", "--generator", "hint-8",
                "-o", "made.nf.onnx"],
    "search": ["--ber", "1%", "--chips", "2", "--epochs", "0.2", "--widths", "8", "-o", "found"],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_train_or_plan_stay_within_80_columns_and_a_pipe_gets_plain_lines(
    files, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    arguments = [command, str(files.base), "--data", str(files.data), *COMMANDS[command], "--no-chart"]
    script = f"import sys\nfrom nfkit.cli.main import main\nsys.argv = ['nfkit', *{arguments!r}]\nmain()"
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", in_terminal(script, PYTHONIOENCODING="utf-8"))
    assert [line for line in re.split(r"[\r\n]+", shown) if len(line) > 80] == []
    assert {"plan": "run at", "protect": "base runs", "search": "front.json of 1 generator"}[command] in " ".join(
        shown.split()
    )
    if command == "plan":
        piped = in_pipe(script)
        assert "\x1b" not in piped.stdout + piped.stderr
        assert piped.stdout.splitlines()[0].startswith(("run at", "stay at"))


def test_a_chart_in_a_pipe_is_asked_for_and_plain(invoke, files):
    arguments = ["evaluate", files.base, "--data", files.data, "--chips", "1"]
    assert "■" not in invoke(*arguments).stdout
    drawn = invoke(*arguments, "--chart").stdout
    assert drawn.startswith(invoke(*arguments).stdout)
    assert "■ base with errors" in drawn
    assert "\x1b" not in drawn


def test_a_pipe_gets_one_line_a_sentence_and_one_a_row():
    lines = in_pipe(WIDE).stdout.splitlines()
    assert len(lines) == 6
    assert lines[0].endswith("and which is long")
    assert "\x1b" not in "".join(lines)


def test_no_colour_where_none_is_wanted():
    assert "\x1b[1m" in in_terminal(WIDE)
    assert "\x1b[3" not in in_terminal(WIDE, NO_COLOR="1")
    assert "\x1b" not in in_terminal(WIDE, TERM="dumb")


def test_progress_is_a_bar_in_a_terminal_and_lines_in_a_pipe():
    shown = in_terminal(STEPS)
    assert "measuring" in plain(shown)
    assert "a sentence" in plain(shown)
    lines = in_pipe(STEPS).stderr.splitlines()
    assert 15 <= len(lines) <= 25
    assert lines[-2].startswith("100 %  measuring")
    assert lines[-1] == "a sentence"


def test_the_first_interrupt_is_acknowledged_and_the_second_ends():
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "finishing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.count("Ctrl-C") == 1
    assert "what was measured is kept; once more ends at once" in said


def test_a_step_of_minutes_is_not_silent_in_a_pipe():
    """Each call is a line where the longest silence is none, and only what goes on is one where it is long."""

    def lines(silence):
        run = subprocess.run(
            [sys.executable, "-c", SLOW.format(silence=silence)], capture_output=True, text=True, check=True
        )
        return run.stderr.splitlines()

    assert lines(0) == [
        *(f"  0 %  looking  bare, chip {chip}" for chip in (1, 2, 3)),
        " 50 %  looking  1:00 left  bare",
    ]
    assert lines(3600) == [" 50 %  looking  1:00 left  bare"]
