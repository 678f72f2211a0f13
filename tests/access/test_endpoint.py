"""An endpoint is asked once for each sample, whatever goes wrong on the way, and is not believed when it lies."""

import itertools
import json

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, Tensor
from nfkit.access.endpoint import Asking
from nfkit.access.server import Server
from nfkit.access.transport import Limits
from nfkit.errors import AccessError, OptionError

# --- answers ---


def test_answers_are_those_of_the_model(server, connect, model, x):
    endpoint = connect(server.address)
    assert np.array_equal(endpoint(x), model(x))
    assert (endpoint.about.classes, endpoint.about.answers) == (3, "scores")
    assert endpoint.about.input == Tensor("x", "float32", (-1, 4))
    assert endpoint.graph is None
    record = endpoint.record()
    assert (record["queries"], record["calls"], record["answered"], record["known"]) == (10, 3, 10, 0)
    assert record["encoding"] == "binary"


def test_a_sample_is_asked_for_once(server, connect, model, x):
    endpoint = connect(server.address)
    twice = np.concatenate([x, x[::-1]])
    assert np.array_equal(endpoint(twice), model(twice))
    assert np.array_equal(endpoint(x[3:5]), model(x[3:5]))
    assert (endpoint.budget.queries, endpoint.budget.known) == (10, 12)


def test_another_run_asks_for_nothing_that_is_kept(server, connect, model, x):
    connect(server.address)(x[:6])
    again = connect(server.address)
    assert again.count_missing(x) == 4
    assert np.array_equal(again(x), model(x))
    record = again.record()
    assert (record["queries"], record["known"], record["queries_of_all_runs"]) == (4, 6, 10)


def test_no_samples_need_no_call(server, connect):
    endpoint = connect(server.address)
    assert endpoint(np.zeros((0, 4), np.float32)).shape == (0, 3)
    assert endpoint.budget.calls == 0


def test_several_calls_at_a_time_give_the_same(server, connect, model):
    x = np.random.default_rng(5).normal(size=(64, 4)).astype(np.float32)
    seen = []
    endpoint = connect(server.address, concurrency=4, batch=3)
    endpoint._on_progress = lambda done, wanted: seen.append((done, wanted))
    assert np.array_equal(endpoint(x), model(x))
    assert seen[-1] == (64, 64)
    assert len(seen) == 22


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float16", "float64"])
def test_every_type_arrives_as_it_is(connect, dtype):
    seen = []

    def answer(x):
        seen.append(x)
        return np.stack([x.sum(1), x.max(1)], axis=1).astype(np.float32)

    base = FunctionBase(answer, Description("sum", "1", Tensor("v", dtype, (-1, 2, 2)), 2))
    x = np.array([[[-3, 7], [100, 2]], [[1, 2], [3, 4]]]).astype(dtype)
    for extensions in (True, None):
        with Server(FunctionBase(lambda v: answer(v.reshape(len(v), -1)), base.about), "sum") as running:
            endpoint = connect(running.address)
            endpoint._binary = extensions and True
            if extensions is None:
                endpoint._binary = False
            assert np.array_equal(endpoint(x), answer(x.reshape(2, -1)))
        assert seen[0].dtype.name == dtype
        assert np.array_equal(seen[0], x.reshape(2, -1))
        seen.clear()


def test_a_base_that_names_its_best_class(connect, x):
    about = Description("labels", "1", Tensor("x", "float32", (-1, 4)), 3, "top-1")
    base = FunctionBase(lambda v: np.arange(len(v)) % 3, about)
    with Server(base, "labels") as running:
        with pytest.raises(OptionError, match="give --classes N"):
            connect(running.address)
        endpoint = connect(running.address, classes=3, batch=16)
        assert endpoint.about.answers == "top-1"
        assert np.array_equal(endpoint(x), np.eye(3, dtype=np.float32)[np.arange(10) % 3])
        with pytest.raises(AccessError, match="class 2, the classes are 0 to 1"):
            connect(running.address, classes=2, path=None)(x)


def test_a_fixed_batch_is_filled_up(proxy, connect, model, x):
    proxy.describe = lambda fields: fields | {"inputs": [fields["inputs"][0] | {"shape": [7, 4]}]}
    endpoint = connect(proxy.address)
    assert np.array_equal(endpoint(x), model(x))
    assert (endpoint.budget.queries, proxy.asked) == (10, 2)


# --- encodings ---


def refuse_binary(proxy):
    """As servers do that do not know the extension."""
    forward = proxy.RequestHandlerClass.forward

    def refuse(handler, body):
        if "Inference-Header-Content-Length" in handler.headers:
            return 422, {"Content-Type": "application/json"}, b'{"detail": [{"type": "json_invalid"}]}'
        return forward(handler, body)

    proxy.RequestHandlerClass = type("Refusing", (proxy.RequestHandlerClass,), {"forward": refuse})


def test_json_where_the_binary_extension_is_refused(proxy, connect, model, x):
    refuse_binary(proxy)
    proxy.extensions = []
    endpoint = connect(proxy.address)
    assert np.array_equal(endpoint(x), model(x))  # float32 in JSON is exact
    assert endpoint.record()["encoding"] == "json"
    assert (endpoint.budget.queries, proxy.asked) == (11, 4)  # the trial costs one sample, once
    headers = [h.get("Inference-Header-Content-Length") is not None for h, _ in proxy.requests]
    assert headers == [True, False, False, False]


def test_the_extension_is_used_where_it_is_not_listed(proxy, connect, model, x):
    proxy.extensions = []
    endpoint = connect(proxy.address)
    assert np.array_equal(endpoint(x), model(x))
    assert (endpoint.record()["encoding"], proxy.asked, endpoint.budget.queries) == ("binary", 4, 10)


def test_a_trial_that_breaks_says_nothing_about_the_encoding(proxy, connect, model, x):
    proxy.extensions, proxy.faults = [], iter(["reset"])
    endpoint = connect(proxy.address)
    assert np.array_equal(endpoint(x), model(x))
    assert endpoint.record()["encoding"] == "binary"


# --- what the endpoint does not say ---


def test_a_missing_description_is_asked_for_by_name(proxy, connect, model, x):
    proxy.describe = lambda fields: {
        "name": fields["name"],
        "versions": [],
        "platform": "",
        "inputs": [],
        "outputs": [],
    }
    with pytest.raises(OptionError, match="--input NAME:TYPE:EXTENTS"):
        connect(proxy.address)
    endpoint = connect(proxy.address, input=Tensor("x", "float32", (-1, 4)))
    assert endpoint.about.classes == 3  # as the answer to one sample of zeros shows
    assert np.array_equal(endpoint(x), model(x))
    assert endpoint.budget.queries == 11
    again = connect(proxy.address, input=Tensor("x", "float32", (-1, 4)))
    assert (again.about.classes, again.budget.queries) == (3, 0)


def test_open_axes_are_asked_for_by_name(proxy, connect):
    proxy.describe = lambda fields: fields | {"inputs": [fields["inputs"][0] | {"shape": [-1, -1]}]}
    with pytest.raises(OptionError, match=r"\(here x:FP32:-1x\.\.\.\)"):
        connect(proxy.address)


def test_several_outputs_are_told_apart_by_name(proxy, connect, model, x):
    more = {"name": "features", "datatype": "FP32", "shape": [-1, 64]}
    proxy.describe = lambda fields: fields | {"outputs": [more, *fields["outputs"]]}
    with pytest.raises(OptionError, match="--output-tensor NAME"):
        connect(proxy.address)
    with pytest.raises(OptionError, match=r"--output-tensor absent: the outputs of .*'features'"):
        connect(proxy.address, output="absent")
    assert np.array_equal(connect(proxy.address, output="scores")(x), model(x))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": [{"name": "a", "datatype": "BYTES", "shape": [-1, 1]}]}, "BYTES"),
        ({"inputs": [{"name": "a", "datatype": "FP32", "shape": "wide"}]}, "no shape"),
        ({"inputs": [{"name": n, "datatype": "FP32", "shape": [-1, 4]} for n in "ab"]}, "2 inputs"),
        ({"outputs": [{"name": "s", "datatype": "FP32", "shape": [-1, 4, 7]}]}, "no score a class"),
        ({"outputs": [{"name": "s", "datatype": "FP32", "shape": [-1, 1]}]}, "no score a class"),
        ({"outputs": "none"}, "'outputs' is no list"),
    ],
)
def test_descriptions_that_are_none(proxy, connect, change, said):
    proxy.describe = lambda fields: fields | change
    with pytest.raises(AccessError, match=said):
        connect(proxy.address)


# --- failures that pass ---


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("kind", ["bare 500", "503", "text", "bad json", "empty", "reset", "cut", "drip"])
def test_what_passes_is_tried_again(proxy, connect, model, x, kind, times):
    proxy.faults = iter([kind] * times)
    endpoint = connect(proxy.address, batch=16)
    assert np.array_equal(endpoint(x), model(x))
    assert proxy.asked == times + 1
    assert endpoint.record()["retries"] == times


@pytest.mark.parametrize("kind", ["bare 500", "503", "text", "bad json", "empty", "reset", "cut", "drip"])
def test_what_does_not_pass_is_an_error_and_loses_nothing(proxy, connect, model, x, kind):
    proxy.faults = itertools.chain([None], itertools.repeat(kind))
    with pytest.raises(AccessError, match="failed after 6 attempts"):
        connect(proxy.address)(x)
    proxy.faults, before = iter(()), proxy.asked
    again = connect(proxy.address)
    assert np.array_equal(again(x), model(x))
    assert (again.budget.known, proxy.asked - before) == (4, 2)


def test_waits_grow_and_are_seeded(proxy, connect, clock, x):
    proxy.faults = iter(["bare 500"] * 5)
    connect(proxy.address, batch=16)(x)
    assert all(0 <= wait <= 0.5 * 2**i for i, wait in enumerate(clock.waits))
    first, clock.waits = clock.waits, []
    proxy.faults = iter(["bare 500"] * 5)
    connect(proxy.address, batch=16, path=None)(x)
    assert np.allclose(clock.waits, first, atol=1e-6)  # differences of a growing clock
    assert len(set(first)) == 5


def test_a_server_that_says_when_is_believed(proxy, connect, clock, x):
    proxy.faults = iter(["503", "503"])
    endpoint = connect(proxy.address, batch=16)
    endpoint(x)
    assert clock.waits == [7, 7]
    assert (endpoint.budget.queries, endpoint.budget.calls) == (10, 3)  # it has done nothing for the other two


def test_a_server_that_wants_an_hour_is_left_alone(proxy, connect, clock, model, x):
    proxy.faults = iter([None, "429 for an hour"])
    with pytest.raises(AccessError, match=r"left alone for 3600 s .*429: slow down.*what was answered is kept"):
        connect(proxy.address)(x)
    assert clock.waits == []
    assert np.array_equal(connect(proxy.address)(x), model(x))
    assert proxy.asked == 4  # two before, and the two that were missing


def test_nobody_there(connect, clock):
    with Server(FunctionBase(lambda v: v, Description("n", "1", Tensor("x", "float32", (-1, 4)), 4)), "n") as running:
        address = running.address
    with pytest.raises(AccessError, match="after 6 attempts: no connection"):
        connect(address)
    assert len(clock.waits) == 5


# --- lies ---


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("huge", "1,000,000,000,000 bytes, more than"),
        ("endless", "more than the 1,048,576 bytes"),
        ("redirect", "a redirect to https://elsewhere.example/v2/models/m/infer; none is followed"),
        ("nan", "sample 3 of 4 with a score that is not a finite number"),
        ("shape", r"answers with \[2\] a sample, expected were scores of 3 classes"),
        ("dtype", "answers with float64, its description says float32"),
        ("count", r"asked for 4 samples and answers with shape \[0, 3\]"),
        ("name", "answers with outputs 'logits'; expected was 'scores'"),
        ("version", "answers as model version '2', and not as '1'"),
        ("model", "answers as model name 'other', and not as 'linear'"),
    ],
)
def test_a_lie_ends_the_run_with_a_sentence_and_is_not_kept(proxy, connect, model, x, kind, said):
    proxy.faults = iter([None, kind])
    with pytest.raises(AccessError, match=said):
        connect(proxy.address, limits=Limits(body=2**20))(x)
    assert np.array_equal(connect(proxy.address)(x), model(x))
    assert proxy.asked == 4


def test_a_model_that_is_exchanged_behind_the_same_name_leaves_no_answer(proxy, connect, model, x):
    """Its answers were good ones by all that they said: only the description after the last of them tells."""
    connect(proxy.address)(x[:4])
    endpoint, described = connect(proxy.address), proxy.describe
    proxy.describe = lambda fields: fields | {"versions": ["7"]}
    with pytest.raises(AccessError, match=r"describes another model now.*the 6 answers .* are forgotten"):
        endpoint(x)
    proxy.describe = described  # the first is back, and nothing of the other is taken for its answers
    again = connect(proxy.address)
    assert np.array_equal(again(x), model(x))
    assert (again.budget.known, again.budget.queries) == (4, 6)


@pytest.mark.parametrize("change", [{"versions": ["7"]}, {"inputs": []}])
def test_a_model_that_is_exchanged_before_the_run_fails_leaves_no_answer(proxy, connect, x, change):
    endpoint, described = connect(proxy.address), proxy.describe
    proxy.describe, proxy.faults = lambda fields: fields | change, iter([None, "nan"])
    with pytest.raises(AccessError, match="not a finite number"):
        endpoint(x)
    proxy.describe = described
    assert connect(proxy.address).count_missing(x) == 10


def test_a_version_that_is_not_described_is_not_settled(proxy, connect, model, x):
    proxy.faults = iter(["version"])
    with pytest.raises(AccessError, match="answers as model version '2', and describes 1: is it being exchanged"):
        connect(proxy.address)(x)
    assert np.array_equal(connect(proxy.address)(x), model(x))


def test_a_version_is_remembered_between_runs(proxy, connect, x):
    connect(proxy.address)(x[:4])
    proxy.faults = iter(["version"])
    with pytest.raises(AccessError, match="answers as model version '2', and not as '1': the model was changed"):
        connect(proxy.address)(x)


def test_a_thousand_faulty_replies(proxy, connect, model, kinds):
    """Whatever comes, in whatever order: the right numbers or a sentence, and what was answered stays answered."""
    random = np.random.default_rng(0)
    every = [*kinds.passing, *kinds.final]
    script = [every[i % len(every)] for i in range(1000)] + [None] * 300
    proxy.faults = iter([script[i] for i in random.permutation(len(script))])
    endpoint = connect(proxy.address, batch=2, limits=Limits(body=2**18))
    x = random.normal(size=(2, 4)).astype(np.float32)
    answered, refused = [], []
    while proxy.asked < len(script):
        try:
            scores = endpoint(x)
        except AccessError as error:  # noqa: PERF203
            refused.append(str(error))
        else:
            assert np.array_equal(scores, model(x))
            answered.append(x)
            x = random.normal(size=(2, 4)).astype(np.float32)
    assert len(refused) > 200
    assert max(map(len, refused)) < 1000
    assert len(answered) > 100
    asked, known = proxy.asked, np.concatenate(answered)
    assert np.array_equal(endpoint(known), model(known))
    assert proxy.asked == asked


# --- budget ---


def test_a_budget_that_does_not_suffice_is_refused_before_anything_is_sent(proxy, connect, x):
    endpoint = connect(proxy.address, queries=9)
    with pytest.raises(AccessError, match="10 samples have to be asked for, and 9 of --queries 9 are left"):
        endpoint(x)
    assert (proxy.asked, endpoint.budget.queries) == (0, 0)
    endpoint(x[:6])
    with pytest.raises(AccessError, match="4 samples have to be asked for, and 3 of"):
        endpoint(x)
    endpoint(np.concatenate([x[:9], x[:6]]))
    assert endpoint.budget.queries == 9


def test_repetitions_count_against_the_budget(proxy, connect, x):
    proxy.faults = iter(["bare 500"] * 6)
    endpoint = connect(proxy.address, queries=10)
    with pytest.raises(AccessError, match="4 samples have to be asked for, and 2 of"):
        endpoint(x[:4])
    assert (proxy.asked, endpoint.budget.queries) == (2, 8)


def test_an_interrupted_run_keeps_what_was_answered(proxy, connect, model, x):
    endpoint = connect(proxy.address)

    def interrupt(done, wanted):
        raise KeyboardInterrupt

    endpoint._on_progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        endpoint(x)
    kept = 10 - endpoint.count_missing(x)
    assert kept >= 4
    again = connect(proxy.address)
    assert np.array_equal(again(x), model(x))
    assert again.budget.queries == 10 - kept


# --- the token ---

TOKEN = "s3cret-t0ken-of-the-test"


def test_the_token_is_sent_and_shows_nowhere(proxy, connect, tmp_path, x):
    echo = TOKEN.encode() + b" is not allowed"
    endpoint = connect(proxy.address, token=TOKEN)
    endpoint(x)
    assert {h["Authorization"] for h, _ in proxy.requests} == {f"Bearer {TOKEN}"}
    texts = [json.dumps(endpoint.record()), repr(endpoint), repr(vars(endpoint._transport)["_credential"])]
    handlers = proxy.RequestHandlerClass
    for code in (500, 403, 200):

        class Echoing(handlers):
            def do_POST(self, code=code):  # noqa: N802
                self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(code, {}, echo)

        proxy.RequestHandlerClass = Echoing
        with pytest.raises(AccessError) as caught:
            connect(proxy.address, token=TOKEN, path=None)(x)
        texts.append(str(caught.value))
    assert all(TOKEN not in text for text in texts)
    assert "*** is not allowed" in texts[-2]
    assert all(TOKEN.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"concurrency": 0}, {"queries": -1}, {"classes": 1}], ids=lambda w: next(iter(w))
)
def test_senseless_settings(wrong):
    with pytest.raises(OptionError, match=f"--{next(iter(wrong))}"):
        Asking(**wrong)
