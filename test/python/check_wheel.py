"""`pip install` without network gives a package that works by itself: no PYTHONPATH, no LD_LIBRARY_PATH.

usage: check_wheel.py SOURCE BUILD
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

source, build = sys.argv[1:]
USE = """
import numpy, pathlib, neuronc
assert pathlib.Path(neuronc.__file__).is_relative_to({prefix!r}), neuronc.__file__
maps = pathlib.Path("/proc/self/maps").read_text()
for library in ("libneuronc.so", "libnrt.so"):
    assert any(library in line and {prefix!r} in line for line in maps.splitlines()), library
result = neuronc.compile({model!r})
with result.load() as model:
    print(model.run(neuronc.seeded_inputs(model))["probabilities"].shape)

# The codecs are beside the libraries, and are loaded by a model that decodes pictures.
picture = numpy.frombuffer(b"P6\\n2 1\\n255\\n" + bytes(range(6)), numpy.uint8)
from onnx import TensorProto, helper
tensors = [helper.make_tensor_value_info(name, TensorProto.UINT8, dims)
           for name, dims in (("file", [len(picture)]), ("pixels", ["h", "w", 3]))]
graph = helper.make_graph([helper.make_node("ImageDecoder", ["file"], ["pixels"])], "g", tensors[:1], tensors[1:])
decoder = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
with neuronc.compile(decoder).load() as model:
    assert model.run({{"file": picture}})["pixels"].ravel().tolist() == list(range(6))
maps = pathlib.Path("/proc/self/maps").read_text()
assert any("libneuronc_images.so" in line and {prefix!r} in line for line in maps.splitlines())
"""

# The wheel's build configures again, so that it is seen to find what it needs in the environment that pip gives.
(Path(build) / "CMakeCache.txt").touch()
with tempfile.TemporaryDirectory() as scratch:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    env.update({"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "HOME": scratch})
    prefix = str(Path(scratch) / "venv")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", prefix,
                    "--config-settings", f"build-dir={build}", source], env=env, check=True)
    model = str(Path(source) / "examples/glyphs/glyphs.onnx")
    subprocess.run([sys.executable, "-c", USE.format(prefix=prefix, model=model)], check=True, cwd=scratch,
                   env={**env, "PYTHONPATH": prefix})
