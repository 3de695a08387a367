"""Comparing a compiled model with what it should compute."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from neuronc import _neuronc
from neuronc._compile import ModelLike, _job, compile
from neuronc._errors import diagnostics_of, raise_for
from neuronc._model import Arrays, Model, TensorInfo, _string_bytes
from neuronc._types import array_dtype

_STRING = 0x102
# As `neuronc verify` judges: compiler/runner/compare.h says why.
_MIN_COSINE = 0.995
_MAX_NORM_ERROR = 0.1


@dataclass(frozen=True)
class OutputComparison:
    """How an output differs from its reference; ``why`` says what is wrong where it did not pass."""

    name: str
    passed: bool
    max_abs_diff: float
    cosine: float
    num_mismatches: int
    why: str = ""


@dataclass(frozen=True)
class VerifyResult:
    """The outcome of ``verify``."""

    outputs: Tuple[OutputComparison, ...]

    @property
    def passed(self) -> bool:
        """Whether every output did."""
        return all(output.passed for output in self.outputs)

    def __bool__(self) -> bool:
        return self.passed


def evaluate(model: ModelLike, inputs: Mapping[str, Any], *, name: Optional[str] = None,
             options: Sequence[str] = ()) -> Arrays:
    """Evaluates a model as it stands, in double precision and without compiling it: the reference. Slow."""
    values: List[Tuple[str, int, Sequence[int], bytes]] = []
    for key, value in inputs.items():
        array = np.asarray(value)
        code = _code_of(array.dtype)
        data = _string_bytes(array.astype(object)) if code == _STRING else array.tobytes()
        values.append((key, code, list(array.shape), data))
    found = _neuronc.evaluate(inputs=values, options=list(options), **_job(model, name))
    raise_for(found["exit_code"], diagnostics_of(found["messages"]))
    results: Arrays = {}
    for key, code, shape, data in found["outputs"]:
        if code == _STRING:
            texts = [text.decode(errors="replace") for text in data.split(b"\0")[:-1]]
            results[key] = np.array(texts, dtype=object).reshape(shape)
        else:
            results[key] = np.frombuffer(data, array_dtype(code)).reshape(shape).copy()
    return results


def _code_of(dtype: "np.dtype[Any]") -> int:
    from neuronc._types import _TYPES
    if dtype.kind in "OUS":
        return _STRING
    for code, (name, _, _) in _TYPES.items():
        if name == dtype.name:
            return code
    raise TypeError(f"there is no tensor of {dtype}")


def seeded_inputs(model: Model, seed: int = 1) -> Arrays:
    """Inputs made up for a model: normal floats, small integers, the same for the same seed."""
    random = np.random.default_rng(seed)
    bounds: Dict[str, int] = {entry["name"]: entry["index_below"] for entry in model.metadata["inputs"]
                              if "index_below" in entry}
    return {info.name: _made_up(info, random, bounds.get(info.name, 8)) for info in model.inputs}


def _made_up(info: TensorInfo, random: np.random.Generator, bound: int) -> "np.ndarray[Any, Any]":
    shape = [extent if extent is not None else 1 for extent in info.shape]
    if "float" in info.dtype:
        return random.standard_normal(shape).astype(info.numpy_dtype)
    if info.dtype == "string":
        return np.full(shape, "", dtype=object)
    bits = 1 if info.dtype == "bool" else 127
    return random.integers(0, max(1, min(bound, bits + 1)), shape).astype(info.numpy_dtype)


def _compare(name: str, actual: "np.ndarray[Any, Any]", wanted: "np.ndarray[Any, Any]", rtol: float,
             atol: float, min_cosine: Optional[float]) -> OutputComparison:
    if actual.shape != wanted.shape:
        return OutputComparison(name, False, np.inf, 0, wanted.size, f"its shape is {actual.shape}, not {wanted.shape}")
    is_float = wanted.dtype.kind == "f" or "float" in wanted.dtype.name
    if not is_float:
        different = int(np.count_nonzero(actual != wanted))
        return OutputComparison(name, different == 0, 0, 1, different,
                                f"{different} of {wanted.size} elements differ" if different else "")
    a, b = actual.astype(np.float64).reshape(-1), wanted.astype(np.float64).reshape(-1)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.where(finite, np.abs(a - b), np.inf))
        outside = difference > atol + rtol * np.abs(b)
    a, b = a[finite], b[finite]
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / norms if norms > 0 else float(np.array_equal(a, b))
    worst, mismatches = float(difference.max(initial=0.0)), int(np.count_nonzero(outside))
    why = ""
    if min_cosine is None:
        why = f"{mismatches} of {wanted.size} elements are outside of the tolerance" if mismatches else ""
    elif not np.isfinite(worst):
        why = "elements are infinite or no numbers"
    elif cosine < min_cosine:
        why = f"the cosine is {cosine:.6f}"
    elif norms > 0 and abs(np.linalg.norm(a) / np.linalg.norm(b) - 1) > _MAX_NORM_ERROR:
        why = f"its norm is {np.linalg.norm(a):g}, not {np.linalg.norm(b):g}"
    return OutputComparison(name, not why, worst, cosine, mismatches, why)


def verify(model: ModelLike, inputs: Optional[Mapping[str, Any]] = None,
           expected: Optional[Mapping[str, Any]] = None, *, rtol: Optional[float] = None,
           atol: Optional[float] = None, min_cosine: Optional[float] = None,
           auto_cast: str = "matmult", **options: Any) -> VerifyResult:
    """Compiles a model, runs it, and compares its outputs with ``expected``.

    Without ``expected`` the reference evaluator computes it, without ``inputs`` they are made up. Integers must be
    equal; floats have a cosine of ``min_cosine`` (0.995) at least, or, with ``auto_cast="none"`` or a
    tolerance, satisfy ``|d| <= atol + rtol * |reference|`` (1e-4 and 1e-3).
    Further options are those of ``compile``.
    """
    shapes = {name: np.shape(value) for name, value in (inputs or {}).items()}
    given = dict(options)
    given.setdefault("input_shapes", shapes)
    has_limits = rtol is not None or atol is not None
    if min_cosine is None and auto_cast != "none" and not has_limits:
        min_cosine = _MIN_COSINE
    with compile(model, auto_cast=auto_cast, **given).load() as loaded:
        fed = dict(inputs) if inputs is not None else seeded_inputs(loaded)
        actual = loaded.run(fed)
    wanted = expected if expected is not None else evaluate(model, {k: np.asarray(v) for k, v in fed.items()})
    return VerifyResult(tuple(
        _compare(name, actual[name], np.asarray(value), 1e-3 if rtol is None else rtol,
                 1e-4 if atol is None else atol, min_cosine)
        for name, value in wanted.items()))


def check_neff(path: Union[str, "os.PathLike[str]"], features: Optional[Sequence[str]] = None) -> Dict[str, Any]:
    """Whether a NEFF runs on this machine, or on one with ``features``, without loading it.

    A dict: ``runs``, ``reason``, ``format``, ``target`` that would run, ``targets``, ``missing``, ``neuroncores``,
    ``compiler_version``.
    """
    status, message, found = _neuronc.check_neff(os.fspath(path), None if features is None else " ".join(features))
    return {"runs": status == 0, "reason": message, **found}
