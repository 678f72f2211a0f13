"""Which torch kernel computes which ONNX operator, by opset version.

A kernel is a plain function: positional arguments are the node's inputs in ONNX order (`None` where an optional
input is absent), keyword-only arguments are the node's attributes under their ONNX names, with the ONNX defaults.
Its signature therefore is the list of what it supports; an attribute it does not name makes the node unsupported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Kernel = Callable[..., Any]
"""(inputs..., *, attributes...) -> one tensor, or a tuple of tensors for operators with several outputs."""


@dataclass(frozen=True)
class Entry:
    """A kernel and the opset versions of its operator that it computes, both ends included."""

    kernel: Kernel
    since: int
    until: int

    @property
    def attributes(self) -> frozenset[str]:
        """Names of the attributes that the kernel understands."""
        parameters = inspect.signature(self.kernel).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


_KERNELS: dict[tuple[str, str], list[Entry]] = {}


def op(name: str, *, since: int = 1, until: int = 10**6, domain: str = "") -> Callable[[Kernel], Kernel]:
    """Registers the decorated kernel for operator `name` at opset versions `since` to `until`."""

    def register(kernel: Kernel) -> Kernel:
        _KERNELS.setdefault((domain, name), []).append(Entry(kernel, since, until))
        return kernel

    return register


def find(name: str, version: int, domain: str = "") -> Entry | None:
    """Returns the kernel for an operator at an opset version, or None where there is none."""
    for entry in _KERNELS.get((domain, name), ()):
        if entry.since <= version <= entry.until:
            return entry
    return None


def supported() -> list[str]:
    """Names of all operators that have a kernel, sorted; other domains as `domain::name`."""
    return sorted(f"{domain}::{name}" if domain else name for domain, name in _KERNELS)
