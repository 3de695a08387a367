"""neuronc: compiles ONNX models for NeuronCores, and runs them.

    import neuronc, numpy as np

    result = neuronc.compile("model.onnx", num_neuroncores=4)
    with result.load() as model:
        outputs = model.run({"x": np.zeros((1, 3, 224, 224), np.float32)})

``compile``, ``check``, ``verify``, ``inspect`` and ``explain`` are the compiler; ``Model`` is the runtime, which needs no
compiler once there is a NEFF. ``neuronc.backend`` is ONNX's backend interface.
"""

from neuronc._compile import (CheckResult, CompileResult, OperationCounts, check, compile, explain, inspect,
                              tqdm_progress)
from neuronc._errors import (Diagnostic, GateError, InternalError, InvalidModelError, NeuroncError,
                             RuntimeStatusError, UnsupportedError, UsageError)
from neuronc._model import Model, TensorInfo
from neuronc._neuronc import cpu_features, llvm_version, version
from neuronc._verify import OutputComparison, VerifyResult, check_neff, evaluate, seeded_inputs, verify

__version__ = version().split()[-1]

__all__ = [
    "CheckResult", "CompileResult", "Diagnostic", "GateError", "InternalError", "InvalidModelError", "Model",
    "NeuroncError", "OperationCounts", "OutputComparison", "RuntimeStatusError", "TensorInfo",
    "UnsupportedError", "UsageError", "VerifyResult", "check", "check_neff", "compile", "cpu_features",
    "evaluate", "explain", "inspect", "llvm_version", "seeded_inputs", "tqdm_progress", "verify", "version",
]
