"""A base behind an address, asked by the Open Inference Protocol (v2) over HTTP.

Every sample is asked once: answers are kept by digest as they come, so a run that dies goes on where it was. Answers
are held to what the endpoint says of itself, and to each other: name, type and shape of the output, number of classes,
finite numbers, one version of the model. What does not hold ends the run with a sentence, and is never kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.address import Address
from nfkit.access.base import Description, Scores, Tensor, check_answers
from nfkit.access.budget import Budget
from nfkit.access.metadata import Metadata, read_metadata, read_server
from nfkit.access.replies import Reply
from nfkit.access.store import AnswerStore, digest
from nfkit.access.transport import CallError, Transport
from nfkit.access.wire import BINARY, Message, decode, dumps, encode
from nfkit.errors import AccessError, OptionError

_CLASSES = "classes"
# What says nothing about the encoding of a request: no whole reply, no right, no model, no time.
_SILENT_ON_ENCODING = frozenset({0, 401, 403, 404, 408, 425, 429, 503})


@dataclass(frozen=True)
class Asking:
    """How an endpoint is asked.

    Attributes:
        batch: Samples a call, where the endpoint leaves it free.
        concurrency: Calls at a time.
        queries: Budget: samples that may be sent; None for no limit.
        classes: Number of classes, where the endpoint does not say and names its best class only.
        input: The input, in place of what the endpoint says of it.
        output: Name of the output with the scores, where there are several.
    """

    batch: int = 64
    concurrency: int = 4
    queries: int | None = None
    classes: int | None = None
    input: Tensor | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        least = {"batch": 1, "concurrency": 1, "queries": 0, "classes": 2}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise OptionError(f"--{name} {value}: give a whole number from {minimum} on")


class Endpoint:
    """A model behind an address.

    Args:
        address: Where it answers.
        transport: Calls to its server.
        store: Where answers are kept.
        asking: How it is asked.
        on_progress: Called with (samples answered, samples asked for) as answers come.

    Transport and store stay the caller's, to be closed by it; `nfkit.access.remote.open_endpoint` does so.

    Raises:
        AccessError: When it cannot be reached, or describes itself as nothing that classifies.
        OptionError: When something has to be given that it does not say.
    """

    graph: ir.Model | None = None

    def __init__(
        self,
        address: Address,
        transport: Transport,
        store: AnswerStore,
        asking: Asking | None = None,
        *,
        on_progress: Callable[[int, int], None] = lambda done, wanted: None,
    ) -> None:
        self.address, self.asking = address, asking or Asking()
        self._transport, self._store, self._on_progress = transport, store, on_progress
        extensions = transport.call("GET", f"{address.server}/v2", read_server)
        # Where the server does not list the extension it is tried once: some know it and do not say so.
        self._binary: bool | None = True if BINARY in extensions else None
        self._trial = threading.Lock()
        self._metadata = self._describe()
        stated = {"address": str(address), **asdict(self._metadata)}
        self._identity = hashlib.sha256(dumps(stated)).hexdigest()
        self.budget = Budget(store, self._identity, self.asking.queries)
        self._classes: int | None = None
        self._classes = self._count_classes()
        self.about = Description(
            str(address), self._identity, self._metadata.input, self._classes, self._metadata.answers
        )

    def __call__(self, x: npt.NDArray[Any]) -> Scores:
        """Answers samples [N, ...]: known ones from the store, the others by asking, each once.

        Raises:
            AccessError: When the budget does not suffice, before anything is sent; or when the endpoint fails or lies.
                What was answered until then is kept.
        """
        names = [digest(sample) for sample in x]
        known = self._known(names)
        missing = [i for i, name in enumerate(names) if name not in known]
        missing = sorted({names[i]: i for i in reversed(missing)}.values())
        self.budget.check(len(missing))
        self.budget.note(known=len(x) - len(missing))
        try:
            self._ask(x, names, missing, known)
        except AccessError:
            with suppress(AccessError):  # it may be gone altogether
                if self._is_exchanged(attempts=1):
                    self._store.forget(self._identity, [names[i] for i in missing])
            raise
        if missing and self._is_exchanged():
            self._store.forget(self._identity, [names[i] for i in missing])
            raise AccessError(
                f"{self.address} describes another model now than at the start: the {len(missing)} answers that were "
                "asked for just now may be of either and are forgotten, so give the same command again"
            )
        if not names:
            return np.zeros((0, self.about.classes), np.float32)
        return np.stack([known[name] for name in names])

    def count_missing(self, x: npt.NDArray[Any]) -> int:
        """How many different samples the endpoint would have to be asked for."""
        names = {digest(sample) for sample in x}
        return len(names) - len(self._known(list(names)))

    def record(self) -> dict[str, Any]:
        """What was asked, for a record."""
        return {
            "address": str(self.address),
            "identity": self._identity,
            "input": str(self._metadata.input),
            "versions": list(self._metadata.versions),
            "answers": self._metadata.answers,
            "encoding": "binary" if self._binary else "json",
            **self.budget.record(),
            "retries": self._transport.retries,
        }

    def _known(self, names: list[bytes]) -> dict[bytes, npt.NDArray[np.float32]]:
        found = self._store.find(self._identity, names)
        return {name: scores for name, scores in found.items() if len(scores) == self._classes}

    def _ask(
        self, x: npt.NDArray[Any], names: list[bytes], missing: list[int], known: dict[bytes, npt.NDArray[np.float32]]
    ) -> None:
        """Asks for some of x, several calls at a time, and adds the answers to `known` as they come."""
        fixed, done = self._metadata.input.shape[0], 0
        size = fixed if fixed > 0 else self.asking.batch
        self._transport.resume()
        with ThreadPoolExecutor(self.asking.concurrency, "nfkit-endpoint") as pool:
            parts = [missing[i : i + size] for i in range(0, len(missing), size)]
            futures = {pool.submit(self._ask_part, x[part], [names[i] for i in part]): part for part in parts}
            try:
                for future in as_completed(futures):
                    part = futures[future]
                    known.update(zip((names[i] for i in part), future.result(), strict=True))
                    done += len(part)
                    self._on_progress(done, len(missing))
            except BaseException:
                # Calls on their way end by themselves, and their answers are kept; nothing new is begun.
                self._transport.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _ask_part(self, x: npt.NDArray[Any], names: list[bytes]) -> Scores:
        scores = self._scores(x)
        self._store.keep(self._identity, names, scores)
        self.budget.note(answered=len(x))
        return scores

    def _scores(self, x: npt.NDArray[Any]) -> Scores:
        """Answers, in the encoding that the server takes; the first call finds out, and others wait for it."""
        if self._binary is None:
            with self._trial:
                if self._binary is None:
                    # One sample is enough to find out, and all that it may cost.
                    try:
                        first = self._infer(x[:1], binary=True, attempts=1)
                    except CallError as error:
                        scores = self._infer(x, binary=False)
                        if error.status not in _SILENT_ON_ENCODING:
                            self._binary = False
                        return scores
                    self._binary = True
                    return np.concatenate([first, self._infer(x[1:], binary=True)]) if len(x) > 1 else first
        return self._infer(x, binary=self._binary)

    def _infer(self, x: npt.NDArray[Any], *, binary: bool, attempts: int | None = None) -> Scores:
        count, (fixed, *_) = len(x), self._metadata.input.shape
        if 0 < fixed != count:  # a fixed batch is filled up
            x = np.concatenate([x, np.repeat(x[-1:], fixed - count, axis=0)])
        source, output = self._metadata.input, self._metadata.output
        headers, body = encode(
            "inputs", {source.name: x}, {},
            binary=[source.name] if binary else [],
            outputs={output.name: binary} if output is not None else None,
        )  # fmt: skip

        def read(reply: Reply) -> Scores:
            return self._check(decode("outputs", reply.headers, reply.body), len(x))[:count]

        return self._transport.call(
            "POST", f"{self.address}/infer", read, headers=headers, body=body, attempts=attempts,
            on_send=lambda: self.budget.spend(count), on_refused=lambda: self.budget.give_back(count),
        )  # fmt: skip

    def _check(self, message: Message, count: int) -> Scores:
        """The scores in a reply, if it is one of the model that was described."""
        self._check_model(message)
        output = self._metadata.output
        name = output.name if output is not None else next(iter(message.tensors), "")
        if name not in message.tensors or (output is None and len(message.tensors) > 1):
            listed = ", ".join(map(repr, message.tensors)) or "none"
            wanted = f"expected was '{name}'" if output is not None else "one was expected, of scores"
            raise AccessError(f"{self.address} answers with outputs {listed[:200]}; {wanted}")
        given = message.tensors[name]
        if output is not None and given.dtype.name != output.dtype:
            raise AccessError(
                f"{self.address} answers with {given.dtype}, its description says {output.dtype} for output '{name}'"
            )
        classes = self._classes
        if classes is None:
            classes = int(np.prod(given.shape[1:])) if given.ndim > 1 else 1
            if classes < 2:
                raise AccessError(f"{self.address} answers with {list(given.shape)}, which is no score a class")
        return check_answers(given, count, classes, self._metadata.answers, str(self.address))

    def _check_model(self, message: Message) -> None:
        for field, expected in (("model_name", self.address.name), ("model_version", self.address.version)):
            said = message.fields.get(field)
            if said in (None, ""):
                continue
            said = str(said)[:80]
            first = expected or self._store.fact(self._identity, field)
            listed = self._metadata.versions
            if first is None and field == "model_version" and listed and said not in listed:
                raise AccessError(
                    f"{self.address} answers as model version {said!r}, and describes {', '.join(listed)[:200]}: is it "
                    "being exchanged? Give the same command again, or name the version (.../versions/VERSION)"
                )
            if first is None:
                first = self._store.settle(self._identity, field, said)
            if said != first:
                raise AccessError(
                    f"{self.address} answers as {field.replace('_', ' ')} {said!r}, and not as {first!r}: the model "
                    "was changed, so start anew, with another file of answers (--answers)"
                )

    def _describe(self) -> Metadata:
        return self._transport.call("GET", self.address.path, self._read_metadata)

    def _read_metadata(self, reply: Reply) -> Metadata:
        return read_metadata(reply, str(self.address), self.asking.input, self.asking.output)

    def _is_exchanged(self, attempts: int | None = None) -> bool:
        """Whether the endpoint describes another model than at the start."""

        def read(reply: Reply) -> bool:
            try:
                return self._read_metadata(reply) != self._metadata
            except (AccessError, OptionError):  # one that would not have been asked at all
                return True

        self._transport.resume()
        return self._transport.call("GET", self.address.path, read, attempts=attempts)

    def _count_classes(self) -> int:
        """Number of classes: as described, as given, or else as an answer to zeros shows."""
        given, stated = self.asking.classes, self._metadata.count_classes(str(self.address))
        if given is not None and stated is not None and given != stated:
            raise OptionError(f"--classes {given}: {self.address} says {stated}")
        if known := stated or given:
            return known
        if self._metadata.answers == "top-1":
            raise OptionError(f"{self.address} names its best class, not how many there are: give --classes N")
        if known_fact := self._store.fact(self._identity, _CLASSES):
            return int(known_fact)
        source = self._metadata.input
        found = self._scores(np.zeros((1, *source.sample), source.dtype)).shape[1]
        return int(self._store.settle(self._identity, _CLASSES, str(found)))
