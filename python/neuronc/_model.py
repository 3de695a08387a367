"""The runtime: loaded models and their requests."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

import numpy as np

from neuronc import _neuronc
from neuronc._errors import RuntimeStatusError
from neuronc._types import array_dtype, raw_dtype, type_name

# By name: an array; a list of arrays for a sequence; for an optional what is inside of it, or None.
Arrays = Dict[str, Any]
_STRING = 0x102
_KINDS = ("tensor", "sequence", "optional", "optional sequence")  # nrt_value_kind_t


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model."""

    name: str
    dtype: str  # "float32", "bfloat16", "string", ...
    shape: Tuple[Optional[int], ...]  # None: known only at run time
    nbytes: int  # 0: known only at run time
    code: int  # NRT_DTYPE_*
    kind: str = "tensor"  # or "sequence", "optional", "optional sequence" of tensors of this type and shape

    @property
    def numpy_dtype(self) -> "np.dtype[Any]":
        """The type of the arrays: numpy's, ml_dtypes', or that of the raw bits."""
        return array_dtype(self.code)

    @property
    def has_any_rank(self) -> bool:
        """Whether not even the number of dims is known before a run."""
        return not self.shape and self.nbytes == 0 and not (self.code == _STRING and self.kind == "tensor")

    def __str__(self) -> str:
        dims = "..." if self.has_any_rank else ", ".join("?" if extent is None else str(extent) for extent in self.shape)
        tensor = f"{self.dtype}[{dims}]"
        return f"{self.name}: {tensor}" if self.kind == "tensor" else f"{self.name}: {self.kind} of {tensor}"


def _infos(raw: Sequence[Tuple[str, int, Tuple[int, ...], int, int]]) -> Tuple[TensorInfo, ...]:
    return tuple(TensorInfo(name, type_name(code), tuple(None if e < 0 else e for e in shape), size, code,
                            _KINDS[kind])
                 for name, code, shape, size, kind in raw)


def _checked(result: Tuple[int, str, Any]) -> Any:
    status, message, value = result
    if status != 0:
        raise RuntimeStatusError(status, message)
    return value


def _string_bytes(array: "np.ndarray[Any, Any]") -> bytes:
    parts = [text if isinstance(text, bytes) else str(text).encode() for text in array.reshape(-1)]
    return b"".join(part + b"\0" for part in parts)


class Model:
    """A NEFF that is loaded and runs.

    ``Model("model.neff")`` or ``Model(data)``; a context manager, which unloads it at its end. ``run`` may be
    called from any thread, releases the GIL, and requests of several threads stream through the cores.
    """

    def __init__(self, neff: Union[str, "os.PathLike[str]", bytes], *, core: int = -1) -> None:
        """Loads a file, or the bytes of one, onto the NeuronCores from ``core`` on (-1: the runtime chooses).

        Raises RuntimeStatusError: damaged, no code for this machine, too few NeuronCores.
        """
        given: Union[str, bytes] = bytes(neff) if isinstance(neff, (bytes, bytearray, memoryview)) else os.fspath(neff)
        self._model = _checked(_neuronc.load_model(given, core))
        self.inputs = _infos(self._model.inputs())
        self.outputs = _infos(self._model.outputs())
        info: Dict[str, Any] = self._model.info()
        self.name: str = info["name"]
        self.info = info  # uuid, compiler_version, target, nc_count, code_bytes, weight_bytes, memory_bytes

    @property
    def metadata(self) -> Dict[str, Any]:
        """neff.json: what the model was made of, and how."""
        found: Dict[str, Any] = json.loads(self._model.metadata())
        return found

    def run(self, inputs: Mapping[str, Any], *, outputs: Optional[Mapping[str, Any]] = None,
            timeout: Optional[float] = None) -> Arrays:
        """Runs one request: arrays by the names of ``model.inputs`` in, by those of ``model.outputs`` out.

        Arrays of the right type and C order are read where they lie; others are brought into that form where
        nothing is lost (lists, other strides), and refused where it would be (another type). ``outputs`` may
        give arrays to write to. ``timeout`` is in seconds. A sequence is a list of arrays, an optional the
        value or None.

        Raises TypeError and ValueError for inputs that do not fit, RuntimeStatusError for what fails.
        """
        buffers = self._input_buffers(inputs)
        arrays = self._output_arrays(outputs or {})
        nanoseconds = 0 if timeout is None else max(1, int(timeout * 1e9))
        found = _checked(self._model.run(buffers, arrays, nanoseconds))
        return self._results(arrays, found)

    def run_async(self, inputs: Mapping[str, Any], *,
                  outputs: Optional[Mapping[str, Any]] = None) -> "asyncio.Future[Arrays]":
        """Starts a request; an awaitable of what ``run`` returns. Needs a running event loop.

        Requests run in the order of their start. Inputs and outputs may not be changed until it is done.
        """
        loop = asyncio.get_running_loop()
        future: "asyncio.Future[Arrays]" = loop.create_future()
        buffers = self._input_buffers(inputs)
        arrays = self._output_arrays(outputs or {})

        def finish(status: int, message: str, found: Any) -> None:
            if future.cancelled():
                return
            if status != 0:
                future.set_exception(RuntimeStatusError(status, message))
            else:
                future.set_result(self._results(arrays, found))

        def completed(status: int, message: str, found: Any) -> None:
            try:
                loop.call_soon_threadsafe(finish, status, message, found)
            except RuntimeError:
                pass  # the loop was closed: nobody waits any more

        _checked(self._model.run_async(buffers, arrays, completed))
        return future

    def close(self) -> None:
        """Waits for the model's requests and unloads it."""
        self._model.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        ins = ", ".join(map(str, self.inputs))
        outs = ", ".join(map(str, self.outputs))
        return f"<neuronc.Model {self.name!r} on {self.info['nc_count']} NeuronCores: ({ins}) -> ({outs})>"

    def _input_buffers(self, inputs: Mapping[str, Any]) -> List[Any]:
        names = [info.name for info in self.inputs]
        unknown = [name for name in inputs if name not in names]
        missing = [name for name in names if name not in inputs]
        if unknown or missing:
            raise ValueError(f"the model's inputs are {names}; missing are {missing}, unknown are {unknown}")
        return [self._input_value(info, inputs[info.name]) for info in self.inputs]

    def _input_value(self, info: TensorInfo, value: Any) -> Any:
        if info.kind == "tensor":
            return self._input_buffer(info, value)[0]
        if value is None and info.kind != "sequence":
            return None
        if info.kind == "optional":
            return [self._input_buffer(info, value)]
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"input `{info.name}` is a {info.kind}: give a list of arrays, not {type(value).__name__}")
        return [self._input_buffer(info, element) for element in value]

    def _input_buffer(self, info: TensorInfo, value: Any) -> Tuple[Any, Tuple[int, ...]]:
        if info.code == _STRING:
            array = np.asarray(value, dtype=object)
            self._check_shape(info, array.shape)
            return _string_bytes(array), array.shape
        array = np.asarray(value)
        wanted = (info.numpy_dtype, raw_dtype(info.code))
        if not isinstance(value, np.ndarray) and array.dtype not in wanted:
            array = np.asarray(value, dtype=info.numpy_dtype)  # lists have no type of their own
        if array.dtype not in wanted:
            raise TypeError(f"input `{info.name}` is {array.dtype}, and the model wants {info.dtype}")
        self._check_shape(info, array.shape)
        contiguous = np.ascontiguousarray(array)
        # ml_dtypes' arrays have no buffer that others understand.
        return contiguous.reshape(-1).view(np.uint8), array.shape

    @staticmethod
    def _check_shape(info: TensorInfo, shape: Sequence[int]) -> None:
        fits = info.has_any_rank or len(shape) == len(info.shape) and all(
            wanted is None or wanted == extent for wanted, extent in zip(info.shape, shape))
        if not fits:
            raise ValueError(f"input `{info.name}` has the shape {tuple(shape)}, and the model wants {info}")

    def _output_arrays(self, given: Mapping[str, Any]) -> List[Optional["np.ndarray[Any, Any]"]]:
        unknown = [name for name in given if name not in [info.name for info in self.outputs]]
        if unknown:
            raise ValueError(f"there are no outputs {unknown}; there are {[i.name for i in self.outputs]}")
        arrays: List[Optional["np.ndarray[Any, Any]"]] = []
        for info in self.outputs:
            if info.kind != "tensor" and info.name in given:
                raise ValueError(f"output `{info.name}` is a {info.kind}, which the runtime allocates")
            if info.name in given:
                arrays.append(self._output_array(info, given[info.name]))
            elif info.kind != "tensor" or info.code == _STRING or None in info.shape or info.has_any_rank:
                arrays.append(None)
            else:
                arrays.append(np.empty([extent or 0 for extent in info.shape], info.numpy_dtype))
        return arrays

    @staticmethod
    def _output_array(info: TensorInfo, array: Any) -> "np.ndarray[Any, Any]":
        fits = (isinstance(array, np.ndarray) and array.dtype in (info.numpy_dtype, raw_dtype(info.code))
                and array.shape == info.shape and array.flags.c_contiguous and array.flags.writeable)
        if not fits:
            raise ValueError(f"the array for output `{info.name}` must be writable, in C order and {info}")
        return array  # type: ignore[no-any-return]

    def _results(self, arrays: Sequence[Optional["np.ndarray[Any, Any]"]],
                 found: Sequence[Any]) -> Arrays:
        results: Arrays = {}
        for info, array, sized in zip(self.outputs, arrays, found):
            if array is not None:
                results[info.name] = array
            elif info.kind == "tensor":
                results[info.name] = self._sized_output(info, *sized)
            else:
                values = None if sized is None else [self._sized_output(info, *element) for element in sized]
                results[info.name] = values[0] if values and info.kind == "optional" else values
        return results

    @staticmethod
    def _sized_output(info: TensorInfo, data: "np.ndarray[Any, Any]",
                      shape: Tuple[int, ...]) -> "np.ndarray[Any, Any]":
        if info.code == _STRING:
            texts = data.tobytes().split(b"\0")[:-1]
            array = np.empty(len(texts), dtype=object)
            array[:] = [text.decode(errors="replace") for text in texts]
            return array.reshape(shape)
        return data.view(info.numpy_dtype).reshape(shape)
