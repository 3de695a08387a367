"""ONNX's backend interface over neuronc: ``onnx.backend.base.Backend``.

    import neuronc.backend
    outputs = neuronc.backend.run_model(model, [array, ...])

Models are compiled for the shapes of their inputs, once for each set of shapes.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx.shape_inference
from onnx.backend.base import Backend, BackendRep, namedtupledict

from neuronc._compile import compile
from neuronc._model import Model

_DEVICES = ("CPU", "NEURON")


class NeuroncRep(BackendRep):  # type: ignore[misc]
    """A prepared model."""

    def __init__(self, model: onnx.ModelProto, options: Mapping[str, Any]) -> None:
        self._model = model
        self._options = dict(options)
        self._loaded: Dict[Tuple[Any, ...], Model] = {}
        initializers = {tensor.name for tensor in model.graph.initializer}
        self.input_names = [value.name for value in model.graph.input if value.name not in initializers]
        # What is a sequence or an optional is passed on as it stands: a list, a value or None.
        self._tensor_names = {value.name for value in model.graph.input if value.type.HasField("tensor_type")}
        self.output_names = [value.name for value in model.graph.output]

    def run(self, inputs: Any, **kwargs: Any) -> Tuple[Any, ...]:
        """Runs it on a list of arrays in the order of the model's inputs, or a dict by their names."""
        if not isinstance(inputs, Mapping):
            given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            inputs = dict(zip(self.input_names, given))
        values = {name: np.asarray(value) if name in self._tensor_names else value for name, value in inputs.items()}
        results = self._load(values).run(values)
        outputs = [results[name] for name in self.output_names]
        return namedtupledict("Outputs", self.output_names)(*outputs)  # type: ignore[no-any-return]

    def _load(self, values: Mapping[str, Any]) -> Model:
        shapes = {name: value.shape for name, value in values.items() if name in self._tensor_names}
        key = tuple(sorted(shapes.items()))
        if key not in self._loaded:
            self._loaded[key] = compile(self._model, input_shapes=shapes, **self._options).load()
        return self._loaded[key]


class NeuroncBackend(Backend):  # type: ignore[misc]
    """Compiles with ``neuronc.compile``; keyword arguments of ``prepare`` are its options.

    FP32 stays FP32 unless ``auto_cast`` says otherwise: ONNX's own tests judge by FP32's tolerances.
    """

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the device exists; what of the model is unsupported, ``prepare`` says with reasons."""
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> NeuroncRep:
        """Prepares a model; it is compiled when its inputs' shapes are known."""
        if not cls.supports_device(device):
            raise ValueError(f"there is no device {device}; there are {_DEVICES}")
        super().prepare(model, device, **kwargs)
        kwargs.setdefault("auto_cast", "none")
        return NeuroncRep(model, kwargs)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU",
                  **kwargs: Any) -> Tuple[Any, ...]:
        """Prepares and runs a model."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU",
                 outputs_info: Optional[Sequence[Tuple[Any, Tuple[int, ...]]]] = None,
                 **kwargs: Any) -> Optional[Tuple[Any, ...]]:
        """Runs one node on arrays. The outputs' types are inferred, unless ``outputs_info`` gives them."""
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        arrays = [np.asarray(value) for value in inputs]
        names = [name for name in node.input if name]
        values = [onnx.helper.make_tensor_value_info(
            name, onnx.helper.mapping.NP_TYPE_TO_TENSOR_TYPE[array.dtype], array.shape)
            for name, array in zip(names, arrays)]
        opset = int(kwargs.pop("opset_version", onnx.defs.onnx_opset_version()))
        return cls.run_model(_model_of(node, values, outputs_info, opset), dict(zip(names, arrays)),
                             device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """CPU, or NEURON, which stands for it here."""
        return device.split(":")[0] in _DEVICES


def _model_of(node: onnx.NodeProto, inputs: List[onnx.ValueInfoProto], outputs_info: Any,
              opset: int) -> onnx.ModelProto:
    opsets = [onnx.helper.make_opsetid(node.domain, opset)]
    names = [name for name in node.output if name]
    if outputs_info is not None:
        outputs = [onnx.helper.make_tensor_value_info(
            name, onnx.helper.mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(dtype)], shape)
            for name, (dtype, shape) in zip(names, outputs_info)]
    else:
        graph = onnx.helper.make_graph([node], "node", inputs, [])
        bare = onnx.helper.make_model(graph, opset_imports=opsets)
        inferred = {value.name: value for value in onnx.shape_inference.infer_shapes(bare).graph.value_info}
        missing = [name for name in names if name not in inferred]
        if missing:
            raise ValueError(f"the types of {missing} are not known; give outputs_info")
        outputs = [inferred[name] for name in names]
    graph = onnx.helper.make_graph([node], "node", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=opsets)


is_compatible = NeuroncBackend.is_compatible
prepare = NeuroncBackend.prepare
run_model = NeuroncBackend.run_model
run_node = NeuroncBackend.run_node
supports_device = NeuroncBackend.supports_device
