"""Models behind addresses on the command line: `nfkit serve`, and `nfkit evaluate` with an address."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from nfkit.access.base import GraphBase
from nfkit.access.chip import put_on_chip
from nfkit.cli.main import app
from nfkit.data import load as load_data
from nfkit.errors import NfkitError
from nfkit.faults import BitErrors, Chip
from nfkit.model import load, sha256
from nfkit.reports.reading import read

SAMPLES = 40


@contextmanager
def serving(program, *arguments):
    """The running server, and the line that it says when it is ready."""
    command = [program, "serve", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        line = process.stdout.readline()
        try:
            yield process, line
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="module")
def device(program, files):
    """Address of a base on chip 7 at 1 %."""
    with serving(program, files.base, "--ber", 0.01, "--chip", 7, "--port", 0) as (_, line):
        yield line.split()[0]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Answers of one test are not known to the next."""
    monkeypatch.setenv("NFKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NFKIT_TOKEN", raising=False)


@pytest.fixture
def ask(invoke, files, device):
    """ask(*options): the record of `nfkit evaluate ADDRESS`."""

    def evaluate(*arguments, to=device):
        options = ["--data", files.data, "--samples", SAMPLES, "--json", "-"]
        return json.loads(invoke("evaluate", to, *options, *arguments).stdout)

    return evaluate


@pytest.fixture
def refused(device):
    """refused(*arguments): the sentence that `nfkit evaluate ADDRESS` ends with."""

    def run(*arguments, to=device):
        result = CliRunner().invoke(app, ["evaluate", str(to), *map(str, arguments)])
        assert isinstance(result.exception, NfkitError)
        assert result.stdout == ""
        return str(result.exception)

    return run


def test_one_line_says_where_and_what(program, files):
    with serving(program, files.base, "--port", 0, "--name", "my net") as (process, line):
        assert line.startswith("http://127.0.0.1:")
        assert line.endswith(f"/v2/models/my%20net answers with {files.base}, without errors\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "nfkit serve: ended\n")


def test_the_record_of_what_is_served(program, files):
    arguments = (files.fused, "--vdd", 0.85, "--chip", 3, "--kind", "flip", "--port", 0, "--json", "-")
    with serving(program, *arguments) as (process, _):
        process.terminate()
        out = process.stdout.read()
    record = json.loads("{" + out)
    assert record["schema"] == "nfkit.serve/1"
    assert record["model"]["sha256"] == sha256(files.fused)
    assert (record["chip"], record["kind"]) == (3, "flip")
    expected = put_on_chip(load(files.fused), Chip(3), BitErrors(record["ber"], "flip"))
    assert record["flipped_bits"] == expected.flipped_bits > 0
    assert record["version"] == expected.base.about.identity[:12]


def test_a_port_that_is_taken_is_a_sentence(program, files, device):
    port = device.split("/")[2].split(":")[1]
    with serving(program, files.base, "--port", port) as (process, line):
        _, err = process.communicate(timeout=60)
    assert (process.returncode, line) == (1, "")
    assert err.startswith(f"nfkit: cannot listen on 127.0.0.1:{port} ")


def test_a_device_as_it_is(ask, zoo, files):
    record = ask("--range", "-1", "1")
    data = load_data(str(files.data), "test").take(SAMPLES)
    x = zoo.spec.encode(data.x)
    faulty = put_on_chip(zoo.model, Chip(7), BitErrors(0.01)).base(x).argmax(1)
    assert record["schema"] == "nfkit.evaluate-base/1"
    assert record["accuracy"]["hits"] == int((faulty == data.y).sum())
    assert record["base"]["queries"] == SAMPLES
    again = ask("--clean", files.base)  # which says what the input's range is, too
    clean = GraphBase(zoo.model)(x).argmax(1)
    assert again["agreement"]["hits"] == int((faulty == clean).sum())
    assert again["clean_accuracy"]["hits"] == int((clean == data.y).sum())
    assert (again["base"]["queries"], again["base"]["known"]) == (0, SAMPLES)
    assert again["accuracy"] == record["accuracy"]
    assert again["data"] == record["data"] == {"name": data.name, "n": SAMPLES, "sha256": data.sha256}


def test_inspect_says_what_a_server_says(invoke, device, tmp_path):
    told = invoke("inspect", device, "--json", tmp_path / "told.json").stdout
    record = json.loads((tmp_path / "told.json").read_text())
    assert record["address"] == device
    assert f"'{record['input']['name']}' of float32" in told
    assert "one score a class" in told
    assert "what it stores cannot be seen from outside" in " ".join(told.split())


def test_the_chip_behind(ask, files, invoke, device):
    simulate = ["--chips", 3, "--ber", 0.001, "--ber", 0.01, "--ber", 0.05]
    record = ask("--clean", files.base, "--chip-behind", *simulate)
    found = record["chip_behind"]
    assert found["low"] < 0.01 < (found["high"] or 1)
    assert (found["rates"], found["chips"]) == ([0.001, 0.01, 0.05], [50_000, 50_001, 50_002])
    assert found["faults"]["kind"] == "stuck"
    assert [e["measure"] for e in found["estimates"]] == ["scores", "answers"]
    options = ["--data", files.data, "--samples", SAMPLES, "--clean", files.base, "--chip-behind", *simulate]
    text = invoke("evaluate", device, *options).stdout
    assert "bit error rate" in text
    assert f"0 queries in 0 calls, 0 of them repeated; {SAMPLES} answers were known" in text


def test_a_device_that_names_its_best_class(program, files, ask, refused):
    arguments = (files.base, "--ber", 0.01, "--chip", 7, "--port", 0, "--top-1")
    with serving(program, *arguments) as (_, line):
        address = line.split()[0]
        assert "give --classes N" in refused("--data", files.data, to=address)
        record = ask("--clean", files.base, "--classes", 10, to=address)
    assert record["base"]["answers"] == "top-1"
    assert record["agreement"] == ask("--clean", files.base)["agreement"]


def test_a_front_for_a_device(invoke, files, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--data", files.data, "--range", "-1", "1", "--epochs", 0.5, "--generator", "hint-8", "--json", "p.json"]
    options += ["--report", "p.html"]
    text = invoke("protect", device, *options).stdout
    record = json.loads((tmp_path / "p.json").read_text())
    assert (record["schema"], record["generator"], record["labels"]) == ("nfkit.protect-answers/1", "hint-8", "data")
    assert record["output"] == {"path": "base.front.onnx", "sha256": sha256(tmp_path / "base.front.onnx")}
    assert record["base"]["queries"] == 60  # every labelled test sample once, whatever it was needed for
    assert "the base was asked for" in text
    assert "base.front.onnx: hint-8" in (tmp_path / "p.html").read_text()
    assert read(tmp_path / "p.json").after.accuracy.samples == 30
    assert text.splitlines()[-1].startswith("60 queries in 2 calls, 0 of them repeated;")


def test_what_has_to_be_given_is_asked_for(refused, files, device):
    data = ["--data", files.data]
    assert "give --range LOW HIGH" in refused(*data)
    assert "give --clean MODEL" in refused(*data, "--chip-behind")
    assert "nothing to measure on: give --data" in refused("--range", "-1", "1")
    assert "--bits, --latency" in refused(*data, "--ber", "0.01")
    for options, said in ((["--ber", "0.01"], "are for files"), ([], "give --range LOW HIGH")):
        result = CliRunner().invoke(app, ["protect", device, "--data", str(files.data), *options])
        assert said in str(result.exception)
    few = CliRunner().invoke(
        app, ["protect", device, "--data", str(files.data), "--range", "-1", "1", "--ber", "1%", "--distil", "9"]
    )
    assert "9 answers are too few to imitate a base by" in str(few.exception)
    assert "5 samples have to be asked for, and 4 of --queries 4" in refused(
        *data, "--range", "-1", "1", "--samples", 5, "--queries", 4
    )
    assert "--concurrency 0: give a whole number" in refused(*data, "--concurrency", 0)
    assert "--timeout -1.0: give seconds above 0" in refused(*data, "--timeout", -1)
    assert "--input 'x': it has another form" in refused(*data, "--input", "x")
    assert "--queries, --clean, --chip-behind: for a model behind an address; this one is a file" in refused(
        *data, "--queries", 3, "--clean", files.base, "--chip-behind", to=files.base
    )
    assert "https://127.0.0.1/v2/models/NAME" in refused(*data, to="https://127.0.0.1/model")


def test_another_model_than_the_one_behind_the_address(refused, files, convnet, tmp_path):
    from nfkit.model import save

    other = save(convnet(), tmp_path / "other.onnx")
    assert "they are not the same model" in refused("--data", files.data, "--clean", other)


def test_the_token_is_in_no_record(ask, monkeypatch, tmp_path, files, refused):
    monkeypatch.setenv("NFKIT_TOKEN", "s3cret-t0ken")
    record = ask("--range", "-1", "1")
    assert "s3cret" not in json.dumps(record)
    assert "is not encrypted" in refused("--data", files.data, to="http://192.0.2.1/v2/models/m")
    assert all(b"s3cret" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
