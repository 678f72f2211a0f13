"""Whoever works, the measurements are the same; and a worker that is lost loses none."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

import nfkit
from nfkit.campaigns.engines import ENGINES, find_engine
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import ANSWERS
from nfkit.errors import AccessError, OptionError

WORKERS = ("ray::_measure", "ray::IDLE")
"""What processes of Ray call themselves that work, or wait for work; others keep the machine going."""
NEEDS = {"threads": "nfkit", "joblib": "joblib", "dask": "distributed", "ray": "ray"}


@pytest.fixture(autouse=True)
def _no_main(monkeypatch):
    """New processes shall not begin by importing the program that runs the tests."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


def require(engine):
    if find_spec(NEEDS[engine]) is None:
        pytest.skip(f"the engine {engine} takes {NEEDS[engine]}, which is not installed")


def rows(folder):
    with MeasurementStore(folder) as store:
        return store.rows(f"SELECT {', '.join(ANSWERS.truth)} FROM measurements ORDER BY cell, chip")


@pytest.fixture(scope="module")
def wanted(tiny):
    return {
        "models": str(tiny.base),
        "data": str(tiny.data),
        "remedies": ["bare", f"neuralfuse:{tiny.fused}"],
        "rates": [0.02, 0.05],
        "chips": 8,
    }


@pytest.fixture(scope="module")
def expected(wanted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("threads")
    nfkit.campaign(wanted, folder, workers=1)
    return rows(folder)


def test_two_threads_measure_what_one_does(wanted, expected, tmp_path):
    nfkit.campaign(wanted, tmp_path, workers=2)
    assert rows(tmp_path) == expected


def test_two_processes_of_joblib_of_which_one_dies_measure_the_same(wanted, expected, tmp_path):
    require("joblib")
    killed = []

    def kill(progress):
        if progress.stage == "measuring" and progress.done == 3 and not killed:
            killed.append(next(pid for pid, line in family(os.getpid(), parent=True) if "LokyProcess" in line))
            os.kill(killed[0], signal.SIGKILL)

    nfkit.campaign(wanted, tmp_path, engine="joblib", workers=2, on_progress=kill)
    assert killed
    assert rows(tmp_path) == expected
    with MeasurementStore(tmp_path) as store:
        assert store.rows("SELECT engine FROM runs") == [("joblib",)]


def test_two_workers_of_dask_of_which_one_dies_measure_the_same(wanted, expected, tmp_path):
    require("dask")
    from distributed import LocalCluster

    killed = []
    with LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:

        def kill(progress):
            if progress.stage == "measuring" and progress.done == 3 and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        nfkit.campaign(wanted, tmp_path, engine="dask", scheduler=cluster.scheduler_address, on_progress=kill)
    assert killed
    assert rows(tmp_path) == expected


def test_a_scheduler_of_dask_that_dies_ends_in_a_sentence_and_loses_nothing(wanted, expected, tmp_path):
    require("dask")
    from distributed import Client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, running = f"tcp://127.0.0.1:{port}", []

    def start(*arguments):
        command = [sys.executable, "-m", f"distributed.cli.{arguments[0]}", *arguments[1:], "--no-dashboard"]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def kill(progress):
        if progress.stage == "measuring" and progress.done == 3:
            running[0].kill()

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
        start("dask_worker", address, "--nthreads", "1", "--no-nanny")
        with Client(address, timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
        many = {**wanted, "chips": 400}
        with pytest.raises(AccessError, match="the dask scheduler ended with measurements on their way"):
            nfkit.campaign(many, tmp_path, engine="dask", scheduler=address, on_progress=kill)
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert len(rows(tmp_path)) >= 3
    nfkit.campaign(wanted, tmp_path)
    assert set(expected) <= set(rows(tmp_path))


def test_two_workers_of_ray_of_which_one_dies_measure_the_same(wanted, expected, tmp_path):
    require("ray")
    killed = []

    def kill(progress):
        if progress.stage == "measuring" and progress.done == 3 and not killed:
            raylets = [pid for pid, line in family(os.getpid(), parent=True) if "raylet" in line]
            workers = [
                pid for raylet in raylets for pid, line in family(raylet, parent=True) if line.startswith(WORKERS)
            ]
            killed.append(workers[0])
            os.kill(killed[0], signal.SIGKILL)

    nfkit.campaign(wanted, tmp_path, engine="ray", workers=2, on_progress=kill)
    assert killed
    assert rows(tmp_path) == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_of_a_measurement_comes_as_it_was(engine, tiny, tmp_path):
    """A pattern of columns that the reference layout does not know, found by a worker alone."""
    require(engine)
    from nfkit.campaigns.kit import Job, Kit, Subject, Task
    from nfkit.data import Dataset
    from nfkit.faults import BitErrors, parse_layout

    subject = Subject(tiny.model, Dataset("tiny", tiny.x, tiny.y), tiny.spec, tiny.y)
    job = Job("tiny", BitErrors(0.01, "asymmetric"), parse_layout("reference"))
    kit = Kit({"tiny": subject}, {"cell": job}, "all")
    with (
        find_engine(engine, 2).open(kit) as team,
        pytest.raises(OptionError, match="the reference layout knows the kinds"),
    ):
        list(team.measure([Task("cell", 50_000)]))


INTERRUPTED = """
import sys, nfkit
from pathlib import Path
done = []
def tell(progress):
    if progress.detail:
        print(progress.done, flush=True)
try:
    nfkit.campaign(eval(sys.argv[1]), sys.argv[2], engine=sys.argv[3], workers=2, on_progress=tell)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_ends_cleanly_and_keeps_what_is_done(engine, wanted, expected, tmp_path):
    require(engine)
    many = {**wanted, "chips": 4000}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), repr(many), str(tmp_path), engine],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    begun = [process.stdout.readline() for _ in range(12)]
    assert all(begun), process.communicate()[1]  # it has not ended by itself
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers, too
    out, err = process.communicate(timeout=120)
    assert out.endswith("interrupted\n"), err  # a line may be cut off before it
    assert "Traceback" not in err
    assert process.returncode == 0
    # No worker is left; what has ended has no command line any more.
    assert [line for _, line in family(process.pid) if line and "resource_tracker" not in line] == []
    assert len(rows(tmp_path)) >= 12


def test_engines_that_make_no_sense_are_refused():
    with pytest.raises(OptionError, match="unknown engine 'spark': choose one of threads, joblib, dask, ray"):
        find_engine("spark")
    with pytest.raises(OptionError, match="belongs to the engines dask and ray, not to joblib"):
        find_engine("joblib", scheduler="tcp://host:8786")
    with pytest.raises(OptionError, match="0 workers"):
        find_engine("threads", 0)


def test_an_address_without_a_scheduler_is_said(monkeypatch, wanted, tmp_path):
    require("dask")
    from nfkit.campaigns.engines import dask_cluster

    monkeypatch.setattr(dask_cluster, "_CONNECT", 0.5)
    with pytest.raises(AccessError, match=r"no dask scheduler answers at 'tcp://127.0.0.1:9'"):
        nfkit.campaign(wanted, tmp_path, engine="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(OptionError, match="leave --workers out beside --scheduler"):
        find_engine("dask", 2, "tcp://127.0.0.1:9")


def family(number, parent=False):
    """Processes of a group, or that a process started, with their command lines."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, started_by, group, *_ = path.read_text().rsplit(")", 1)[1].split()
            line = path.with_name("cmdline").read_text()
        except OSError:  # ended in between
            continue
        if int(started_by if parent else group) == number:
            yield int(path.parent.name), line
