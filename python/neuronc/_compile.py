"""The compiler: models in, NEFFs and reports out."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from neuronc import _neuronc
from neuronc._errors import Diagnostic, diagnostics_of, raise_for
from neuronc._model import Model

PathLike = Union[str, "os.PathLike[str]"]
# A path, the bytes of a file, or an onnx.ModelProto.
ModelLike = Any
# Called with the phase, what it does, and how many of how many steps are done (0 of 0: not known).
# Whatever it returns but False goes on; an exception ends the compile and comes out of it.
ProgressCallback = Callable[[str, str, int, int], Any]


@dataclass(frozen=True)
class OperationCounts:
    """How many operations there are, and where they run."""

    in_model: int
    after_optimizations: int
    on_neuroncores: int
    on_host: int


@dataclass(frozen=True)
class CompileResult:
    """A compiled model: ``neff`` is the file's bytes, ``report`` what was done and why."""

    neff: bytes = field(repr=False)
    report: Dict[str, Any] = field(repr=False)
    diagnostics: Tuple[Diagnostic, ...]

    @property
    def operations(self) -> OperationCounts:
        """How many operations the model has, and where they run."""
        return _operations(self.report)

    @property
    def is_from_cache(self) -> bool:
        """Whether it was taken from ``cache_dir``."""
        return bool(self.report.get("is_from_cache", False))

    def save(self, path: PathLike) -> Path:
        """Writes the NEFF: complete under its name, or not at all."""
        target = Path(path)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            draft.write_bytes(self.neff)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        return target

    def load(self, **how: Any) -> Model:
        """Loads the NEFF into the runtime; see ``Model``."""
        return Model(self.neff, **how)

    def __repr__(self) -> str:
        counts = self.operations
        return (f"<CompileResult: {len(self.neff)} bytes, {counts.on_neuroncores} of "
                f"{counts.after_optimizations} operations on NeuronCores, "
                f"{len(self.diagnostics)} messages>")


@dataclass(frozen=True)
class CheckResult:
    """What of a model can be compiled. ``ok`` is False where something cannot."""

    exit_code: int
    report: Dict[str, Any] = field(repr=False)
    diagnostics: Tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether the model can be compiled."""
        return self.exit_code == 0

    @property
    def operations(self) -> OperationCounts:
        """How many operations the model has, and where they would run."""
        return _operations(self.report)

    @property
    def host_nodes(self) -> List[Dict[str, str]]:
        """The operations that run on the host: ``node``, ``operator``, ``reason``."""
        return list(self.report.get("operations", {}).get("host_nodes", []))

    def raise_for_errors(self) -> None:
        """Raises what ``compile`` would raise."""
        raise_for(self.exit_code, self.diagnostics)


def _operations(report: Mapping[str, Any]) -> OperationCounts:
    counts = report.get("operations", {})
    names = ("in_model", "after_optimizations", "on_neuroncores", "on_host")
    return OperationCounts(*(int(counts.get(name, 0)) for name in names))


def _bindings(option: str, values: Optional[Mapping[str, Any]],
              text: Callable[[Any], str] = str) -> List[str]:
    return [f"{option}={name}={text(value)}" for name, value in (values or {}).items()]


def _shape_text(shape: Sequence[int]) -> str:
    return ",".join(str(int(extent)) for extent in shape)


def _words(options: Mapping[str, Any], more: Sequence[str]) -> List[str]:
    """The command's words for keyword options: names with underscores, None left out."""
    words: List[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif name in ("keep_fp32", "external_data_dir"):
            words += [f"{option}={os.fspath(one)}" for one in value]
        elif name in ("target_cpu", "outputs") and not isinstance(value, str):
            words.append(f"{option}={','.join(value)}")
        else:
            words.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return words + [str(word) for word in more]


def _job(model: ModelLike, name: Optional[str]) -> Dict[str, Any]:
    """The library's job for a model in any of its forms."""
    if isinstance(model, (str, os.PathLike)):
        return {"path": os.fspath(model)}
    if isinstance(model, (bytes, bytearray, memoryview)):
        return {"model": bytes(model), "name": name or "model"}
    if hasattr(model, "SerializeToString"):
        return {"model": model.SerializeToString(), "name": name or "model"}
    raise TypeError("the model is a path, the bytes of a file or an onnx.ModelProto, not "
                    f"{type(model).__name__}")


def _run(task: str, model: ModelLike, name: Optional[str], words: Sequence[str],
         progress: Optional[ProgressCallback],
         external_data: Optional[Mapping[str, bytes]]) -> Dict[str, Any]:
    result: Dict[str, Any] = _neuronc.run_job(task=task, options=list(words), progress=progress,
                                              external_data=dict(external_data or {}),
                                              **_job(model, name))
    result["diagnostics"] = diagnostics_of(result.pop("messages"))
    result["report"] = json.loads(result["report"]) if result["report"] else {}
    return result


def compile(  # noqa: A001  (the name that users look for)
    model: ModelLike,
    *,
    output: Optional[PathLike] = None,
    name: Optional[str] = None,
    num_neuroncores: Union[int, str] = 1,
    auto_cast: str = "matmult",
    auto_cast_type: str = "bf16",
    keep_fp32: Sequence[str] = (),
    dims: Optional[Mapping[str, int]] = None,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    fix_inputs: Optional[Mapping[str, Union[int, float, PathLike]]] = None,
    outputs: Optional[Sequence[str]] = None,
    target_cpu: Union[str, Sequence[str]] = "default",
    hardware_model: PathLike = "host",
    optimization_level: int = 2,
    max_host_ops: Optional[int] = None,
    jobs: Optional[int] = None,
    cache_dir: Optional[PathLike] = None,
    external_data: Optional[Mapping[str, bytes]] = None,
    external_data_dirs: Sequence[PathLike] = (),
    options: Sequence[str] = (),
    progress: Optional[ProgressCallback] = None,
) -> CompileResult:
    """Compiles an ONNX model for NeuronCores.

    model: a path, the bytes of a file, or an ``onnx.ModelProto``; ``name`` stands for the file in messages
        of a model in memory, ``external_data`` holds its large tensors by the locations it names.
    output: where the NEFF is written too.
    num_neuroncores: over how many NeuronCores the model is split, or ``"auto"``.
    dims, input_shapes: numbers for symbolic dims, by name (``{"batch": 1}``) or by input.
    fix_inputs: inputs that become constants: a number, or a .npy or .pb file.
    options: further words of the command line, for what has no keyword here.
    progress: called as ``progress(phase, detail, done, total)``; see ``tqdm_progress``.

    Raises InvalidModelError, UnsupportedError, GateError or UsageError, which carry ``diagnostics``.
    """
    words = _words({
        "num_neuroncores": num_neuroncores, "auto_cast": auto_cast, "auto_cast_type": auto_cast_type,
        "keep_fp32": keep_fp32, "outputs": outputs, "target_cpu": target_cpu,
        "hardware_model": hardware_model, f"O{int(optimization_level)}": True,
        "max_host_ops": max_host_ops, "jobs": jobs, "cache_dir": cache_dir,
        "external_data_dir": external_data_dirs,
    }, options)
    words += _bindings("--dim", dims) + _bindings("--input-shape", input_shapes, _shape_text)
    words += _bindings("--fix-input", fix_inputs, lambda v: str(os.fspath(v) if isinstance(v, os.PathLike) else v))
    found = _run("compile", model, name, words, progress, external_data)
    raise_for(found["exit_code"], found["diagnostics"])
    result = CompileResult(found["neff"], found["report"], found["diagnostics"])
    if output is not None:
        result.save(output)
    return result


def check(
    model: ModelLike,
    *,
    name: Optional[str] = None,
    dims: Optional[Mapping[str, int]] = None,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    options: Sequence[str] = (),
    external_data: Optional[Mapping[str, bytes]] = None,
) -> CheckResult:
    """Says what of a model can be compiled and where it would run, without making code.

    All problems of the model are in ``diagnostics``; nothing is raised for them.
    """
    words = list(options) + _bindings("--dim", dims) + _bindings("--input-shape", input_shapes, _shape_text)
    found = _run("check", model, name, words, None, external_data)
    return CheckResult(found["exit_code"], found["report"], found["diagnostics"])


def inspect(neff: Union[PathLike, bytes]) -> Dict[str, Any]:
    """What a NEFF holds: its neff.json, with members and targets under ``"container"``.

    Raises InvalidModelError if it is damaged or no NEFF.
    """
    given: Union[str, bytes] = bytes(neff) if isinstance(neff, (bytes, bytearray, memoryview)) else os.fspath(neff)
    found: Dict[str, Any] = _neuronc.inspect(given)
    raise_for(found["exit_code"], diagnostics_of(found["messages"]))
    report: Dict[str, Any] = json.loads(found["report"])
    return report


def explain(code: str) -> str:
    """The page behind the code of a message, such as ``"NEU0204"``. Raises KeyError if there is none."""
    page = _neuronc.explain(code)
    if not page:
        raise KeyError(code)
    return page


def tqdm_progress(bar: Any) -> ProgressCallback:
    """A progress callback that moves ``bar``, which is ``tqdm.tqdm()`` or works like it."""

    def report(phase: str, detail: str, done: int, total: int) -> None:
        bar.set_description(f"{phase}: {detail}" if detail else phase, refresh=False)
        bar.total = total or None
        bar.n = done
        bar.refresh()

    return report
