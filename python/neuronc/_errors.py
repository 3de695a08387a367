"""What the compiler says: messages as objects, and the exceptions that carry them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Type

from neuronc import _neuronc


@dataclass(frozen=True)
class Diagnostic:
    """A message of the compiler: its code, and where in the model it applies.

    ``str(diagnostic)`` is what the ``neuronc`` command prints; ``explain()`` is the page behind the code.
    """

    severity: str  # "note", "warning" or "error"
    code: str  # "NEU0204"
    summary: str  # the text without its location
    text: str = field(repr=False)  # as the command prints it
    file: str = ""
    node: str = ""  # the ONNX node's name
    operator: str = ""
    opset: int = 0
    tensor: str = ""  # an operand or result of the node, with its type
    hints: Tuple[str, ...] = ()  # what the values are, what to do

    @property
    def hint(self) -> str:
        """All hints, one a line."""
        return "\n".join(self.hints)

    def explain(self) -> str:
        """The page that ``neuronc explain CODE`` prints."""
        return _neuronc.explain(self.code)

    def __str__(self) -> str:
        return self.text


def diagnostics_of(messages: Sequence[Mapping[str, Any]]) -> Tuple[Diagnostic, ...]:
    """The messages of a result of the library."""
    made: List[Diagnostic] = []
    for message in messages:
        fields: Dict[str, Any] = dict(message)
        fields["hints"] = tuple(fields["hints"])
        made.append(Diagnostic(**fields))
    return tuple(made)


class NeuroncError(Exception):
    """A compile that failed. ``diagnostics`` says why, ``exit_code`` is the command's."""

    exit_code = 70

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [str(d) for d in self.diagnostics if d.severity == "error"]
        super().__init__("\n".join(errors) or "the compile failed without a message")


class InvalidModelError(NeuroncError):
    """The model, data or a file is wrong, or memory ran out."""

    exit_code = 1


class UsageError(NeuroncError, ValueError):
    """An option is wrong."""

    exit_code = 2


class UnsupportedError(NeuroncError):
    """The model uses what this version does not support."""

    exit_code = 3


class GateError(NeuroncError):
    """A gate (``max_host_ops``) or a verification failed."""

    exit_code = 5


class InternalError(NeuroncError):
    """A defect of neuronc; please report it."""

    exit_code = 70


class RuntimeStatusError(RuntimeError):
    """A call of the runtime failed; ``status`` is the number of an NRT status, ``name`` its name."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.name = _neuronc.status_name(status)
        super().__init__(f"{self.name}: {message}")


_BY_CODE: Dict[int, Type[NeuroncError]] = {
    1: InvalidModelError,
    2: UsageError,
    3: UnsupportedError,
    5: GateError,
    70: InternalError,
}


def raise_for(exit_code: int, diagnostics: Sequence[Diagnostic]) -> None:
    """Raises the exception of an exit code; none for 0."""
    if exit_code != 0:
        raise _BY_CODE.get(exit_code, InternalError)(diagnostics)
