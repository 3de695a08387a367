"""ONNX's own backend tests through neuronc.backend: what our own runner passes passes here, and nothing else is
left out. The reasons stand in test/onnx_node/list_*_neff.txt.
"""
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import onnx.helper
import pytest

import neuronc.backend

if not hasattr(np, "object"):
    np.object = object  # ONNX 1.12 asks for it, numpy 1.24 has it no more

LISTS = Path(__file__).resolve().parents[1] / "onnx_node"
# The data of these is downloaded.
DOWNLOADED = r"^test_(bvlc_alexnet|densenet121|inception_v1|inception_v2|resnet50|shufflenet|squeezenet|vgg19|zfnet512)_cpu$"


def read_lists():
    passing, skipped = set(), {}
    for path in LISTS.glob("list_*_neff.txt"):
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name, verdict = line.split(" ", 1)
            if verdict == "pass":
                passing.add(name)
            else:
                skipped[name] = verdict
    return passing, skipped


PASSING, SKIPPED = read_lists()


runner = onnx.backend.test.BackendTest(neuronc.backend, __name__)
# Its sequences hold scalars, of which ONNX's runner asks the length.
NOT_COMPARED = ["test_loop16_seq_none"]
for skipped_name in [*SKIPPED, *NOT_COMPARED]:
    runner.exclude(rf"^{re.escape(skipped_name)}_cpu$")
runner.exclude(DOWNLOADED)
runner.exclude("_cuda$")
globals().update(runner.enable_report().test_cases)


def cases():
    found = set()
    for suite in runner.test_cases.values():
        found |= {name for name in dir(suite) if name.startswith("test_") and name.endswith("_cpu")}
    return found


def test_the_lists_know_every_case():
    """A case that stands in no list would be neither run nor accounted for."""
    listed = {name + "_cpu" for name in PASSING | set(SKIPPED)}
    unknown = [name for name in cases() if name not in listed and not re.match(DOWNLOADED, name)]
    assert unknown == []
    assert len([name for name in PASSING if name + "_cpu" in cases()]) > 900


def test_devices_and_nodes():
    assert neuronc.backend.supports_device("CPU") and not neuronc.backend.supports_device("CUDA:0")
    node = onnx.helper.make_node("Add", ["x", "y"], ["z"])
    x = np.ones((2, 3), np.float32)
    (out,) = neuronc.backend.run_node(node, [x, x])
    np.testing.assert_array_equal(out, x + x)
    info = [(np.float32, (2, 3))]
    assert neuronc.backend.run_node(node, [x, x], outputs_info=info).z.shape == (2, 3)
    with pytest.raises(ValueError, match="no device"):
        graph = onnx.helper.make_graph([], "g", [], [])
        neuronc.backend.prepare(onnx.helper.make_model(graph), "CUDA")
