"""A model behind an address over gRPC: the same answers as over HTTP, and the same care with what a server says."""

from concurrent import futures

import numpy as np
import pytest

from nfkit.access.address import Credential, parse_address
from nfkit.access.endpoint import Asking
from nfkit.access.remote import open_endpoint
from nfkit.access.transport import Limits
from nfkit.errors import AccessError, OptionError

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: pip install 'nfkit[grpc]'")

from nfkit.access.grpc_messages import SERVICE, infer_request, messages, tensors_of  # noqa: E402
from nfkit.access.wire import WireError  # noqa: E402

CLASSES = 3
WEIGHTS = np.random.default_rng(0).normal(size=(4, CLASSES)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
QUICK = Limits(connect=5.0, read=20.0, total=20.0, first_wait=0.0, longest_wait=0.0, attempts=3)


def linear(x):
    return (x[:, :, None] * WEIGHTS).sum(1)


class Raw(bytes):
    """A reply as bytes, in place of a message."""

    def SerializeToString(self):  # noqa: N802
        return bytes(self)


def abort(code):
    return lambda answer, context: context.abort(code, "busy")


def with_scores(change):
    """A reply whose scores [N, classes] are changed, and its shape with them."""

    def answer(message, context):
        scores = change(np.frombuffer(message.raw_output_contents[0], "<f4").reshape(-1, CLASSES).copy())
        message.raw_output_contents[0] = scores.tobytes()
        message.outputs[0].shape[:] = scores.shape

    return answer


def spoil_one(scores):
    scores[-1, 0] = np.nan
    return scores


PASSING = {
    "internal": abort(grpc.StatusCode.INTERNAL),
    "unavailable": abort(grpc.StatusCode.UNAVAILABLE),
    "exhausted": abort(grpc.StatusCode.RESOURCE_EXHAUSTED),
    "cut": lambda answer, context: Raw(answer.SerializeToString()[:-5]),
    "text": lambda answer, context: Raw(b"<html>welcome to our portal</html>"),
    "shape": lambda answer, context: answer.outputs[0].shape.__setitem__(0, 7),
    "two contents": lambda answer, context: answer.raw_output_contents.append(b"1234"),
}
LIES = {
    "nan": with_scores(spoil_one),
    "classes": with_scores(lambda scores: scores[:, :-1]),
    "count": with_scores(lambda scores: scores[:0]),
    "name": lambda answer, context: setattr(answer.outputs[0], "name", "logits"),
    "version": lambda answer, context: setattr(answer, "model_version", "4"),
    "model": lambda answer, context: setattr(answer, "model_name", "other"),
    "huge": lambda answer, context: Raw(bytes(2**17)),
}


class Server(grpc.GenericRpcHandler):
    """A server of the protocol whose answers a test may change: `spoil(response, number of the call)`."""

    def __init__(self):
        self.calls, self.metadata, self.typed_only, self.raw_reply = 0, [], False, True
        self.spoil = lambda answer, number, context: answer
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    @property
    def address(self):
        return f"grpc://127.0.0.1:{self.port}/v2/models/linear"

    def service(self, details):
        method = details.method.removeprefix(SERVICE)
        self.metadata.append(dict(details.invocation_metadata))
        handler = getattr(self, method)
        request = {"ServerMetadata": "ServerMetadataRequest", "ModelMetadata": "ModelMetadataRequest"}
        kind = messages()[request.get(method, "ModelInferRequest")]
        return grpc.unary_unary_rpc_method_handler(
            handler, request_deserializer=kind.FromString, response_serializer=lambda m: m.SerializeToString()
        )

    def ServerMetadata(self, request, context):  # noqa: N802
        return messages()["ServerMetadataResponse"](name="test", extensions=["model_repository"])

    def ModelMetadata(self, request, context):  # noqa: N802
        if request.name != "linear":
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        about = messages()["ModelMetadataResponse"](name="linear", versions=["3"], platform="test")
        about.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
        about.outputs.add(name="scores", datatype="FP32", shape=[-1, CLASSES])
        return about

    def ModelInfer(self, request, context):  # noqa: N802
        self.calls += 1
        (entry,) = request.inputs
        if request.raw_input_contents:
            if self.typed_only:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "raw contents are not understood")
            x = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(list(entry.shape))
        else:
            x = np.array(entry.contents.fp32_contents, np.float32).reshape(list(entry.shape))
        scores = linear(x)
        answer = messages()["ModelInferResponse"](model_name="linear", model_version="3")
        out = answer.outputs.add(name="scores", datatype="FP32", shape=list(scores.shape))
        if self.raw_reply:
            answer.raw_output_contents.append(scores.astype("<f4").tobytes())
        else:
            out.contents.fp32_contents.extend(scores.ravel().tolist())
        return self.spoil(answer, self.calls, context)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.server.stop(None).wait()


def ask(server, x=X, address=None, **asking):
    with open_endpoint(address or server.address, Asking(batch=8, **asking), limits=QUICK) as endpoint:
        return endpoint(x), endpoint.record()


def test_the_bytes_of_a_question_are_those_of_the_protocol():
    request = infer_request("m", "", {"x": np.array([[1.0]], np.float32)}, ["y"], raw=True)
    # model_name = 1, inputs = 5 {name = 1, datatype = 2, shape = 3 packed}, outputs = 6 {name = 1}, raw contents = 7.
    expected = b"\x0a\x01m\x2a\x0d\x0a\x01x\x12\x04FP32\x1a\x02\x01\x01\x32\x03\x0a\x01y\x3a\x04\x00\x00\x80\x3f"
    assert request.SerializeToString() == expected
    typed = infer_request("m", "", {"x": np.array([7], np.int8)}, [], raw=False)
    # contents = 5 {int_contents = 2 packed}
    assert typed.SerializeToString() == b"\x0a\x01m\x2a\x11\x0a\x01x\x12\x04INT8\x1a\x01\x01\x2a\x03\x12\x01\x07"


@pytest.mark.parametrize("raw_reply", [True, False])
@pytest.mark.parametrize("typed_only", [True, False])
def test_answers_are_those_of_the_model_in_whatever_form_they_travel(server, typed_only, raw_reply):
    server.typed_only, server.raw_reply = typed_only, raw_reply
    scores, record = ask(server)
    np.testing.assert_array_equal(scores, linear(X))
    assert record["encoding"] == ("json" if typed_only else "binary")
    assert record["versions"] == ["3"]


def test_what_may_pass_is_tried_again_and_counted(server):
    def fail_once(answer, number, context):
        if number == 2:
            context.abort(grpc.StatusCode.INTERNAL, "try later")
        return answer

    server.spoil = fail_once
    scores, record = ask(server, concurrency=1)
    np.testing.assert_array_equal(scores, linear(X))
    assert record["retries"] == 1
    assert record["queries"] > len(X)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.outputs[0].shape.__setitem__(0, 3), "after 3 attempts"),
        (lambda a: a.outputs[0].__setattr__("name", "other"), "expected was 'scores'"),
        (lambda a: a.outputs[0].__setattr__("datatype", "BYTES"), "cannot be read"),
        (lambda a: a.__setattr__("model_version", "4"), "the model was changed"),
        (lambda a: a.raw_output_contents.__setitem__(0, np.full((8, 3), np.nan, "<f4").tobytes()), "finite|numbers"),
        (lambda a: a.raw_output_contents.append(b"1234"), "after 3 attempts"),
    ],
)
def test_an_endpoint_that_lies_is_not_believed(server, spoil, message):
    def lie(answer, number, context):
        if number > 2:
            spoil(answer)
        return answer

    server.spoil = lie
    with pytest.raises(AccessError, match=message):
        ask(server, concurrency=1)


def test_bytes_that_are_no_message_are_tried_again_and_print_nothing(server, caplog):
    def cut(answer, number, context):
        return answer if number != 2 else Raw(answer.SerializeToString()[:-5])

    server.spoil = cut
    scores, record = ask(server, concurrency=1)
    np.testing.assert_array_equal(scores, linear(X))
    assert record["retries"] == 1
    server.spoil = lambda answer, number, context: Raw(b"\xff" * 40)
    with pytest.raises(AccessError, match=r"after 3 attempts: the reply cannot be read: .* is no ModelInferResponse"):
        ask(server, concurrency=1)
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_thousand_faulty_replies(server):
    """Whatever comes, in whatever order: the right numbers or a sentence, and what was answered stays answered."""
    random = np.random.default_rng(0)
    passing, final = list(PASSING.values()), list(LIES.values())
    script = [*([*passing, *final][i % (len(passing) + len(final))] for i in range(1000)), *[None] * 300]
    script = [script[i] for i in random.permutation(len(script))]

    def spoil(answer, number, context):
        change = script[number - 1] if number <= len(script) else None
        return answer if change is None else change(answer, context) or answer

    server.spoil = spoil
    quick = Limits(connect=5.0, read=20.0, total=20.0, body=2**16, first_wait=0.0, longest_wait=0.0, attempts=3)
    answered, refused, x = [], [], random.normal(size=(2, 4)).astype(np.float32)
    with open_endpoint(server.address, Asking(batch=2, concurrency=1), limits=quick) as endpoint:
        while server.calls < len(script):
            try:
                scores = endpoint(x)
            except AccessError as error:  # noqa: PERF203
                refused.append(str(error))
            else:
                np.testing.assert_array_equal(scores, linear(x))
                answered.append(x)
                x = random.normal(size=(2, 4)).astype(np.float32)
        assert len(refused) > 200
        assert max(map(len, refused)) < 1000
        assert len(answered) > 100
        asked, known = server.calls, np.concatenate(answered)
        np.testing.assert_array_equal(endpoint(known), linear(known))
        assert server.calls == asked


def test_a_model_that_is_not_there_and_a_server_that_is_not_there(server):
    with pytest.raises(AccessError, match=r"404.*is the model's name right.*no model other"):
        ask(server, address=server.address.replace("linear", "other"))
    server.server.stop(None).wait()
    with pytest.raises(AccessError, match=r"failed after 3 attempts.*UNAVAILABLE"):
        ask(server)


def test_a_huge_answer_ends_the_run(server):
    def grow(answer, number, context):
        answer.raw_output_contents[0] = bytes(3 * 2**20)
        return answer

    server.spoil = grow
    with (
        open_endpoint(server.address, limits=Limits(body=2**20, attempts=2, first_wait=0.0)) as endpoint,
        pytest.raises(AccessError, match="more than the 1,048,576 bytes allowed"),
    ):
        endpoint(X)


def test_the_token_goes_along_and_never_over_an_open_line(server, monkeypatch):
    monkeypatch.setenv("NFKIT_TOKEN", "s3cret")
    ask(server)
    assert {seen.get("authorization") for seen in server.metadata} == {"Bearer s3cret"}
    with pytest.raises(OptionError, match="give an https or grpcs address"):
        Credential.for_address(parse_address("grpc://example.org:8001/v2/models/m"))
    assert Credential.for_address(parse_address("grpcs://example.org:8001/v2/models/m")).token == "s3cret"


def test_an_address_over_grpc_has_no_prefix():
    with pytest.raises(OptionError, match="nothing comes before /v2"):
        parse_address("grpc://host:8001/prefix/v2/models/m")


def test_contents_that_do_not_fit_are_refused():
    answer = messages()["ModelInferResponse"]()
    answer.outputs.add(name="y", datatype="INT8", shape=[1]).contents.int_contents.append(300)
    with pytest.raises(WireError, match="exceeds its type int8"):
        tensors_of(answer)
    with pytest.raises(WireError, match="raw bytes alone"):
        infer_request("m", "", {"x": np.zeros(1, np.float16)}, [], raw=False)
