"""neuronc_add_model in projects outside of this build, against the installed package alone.

usage: pytest test_add_model.py, with NEURONC_BUILD naming the build
"""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ["NEURONC_BUILD"]

RUN = """
#include <m.h>
#include <nrt/nrt.h>
#include <stdio.h>
int main(int argc, char** argv) {
  const long long shape[] = M_INPUT_X_1_SHAPE;
  nrt_model_t* model = NULL;
  if (nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") != NRT_SUCCESS) return 1;
  if (nrt_load_file(argv[argc - 1], -1, -1, &model) != NRT_SUCCESS) return 1;
  printf("%s %d %lld %d %s %d\\n", M_INPUT_X_1_NAME, M_INPUT_X_1_NDIM, shape[1], M_INPUT_X_1_SIZE_BYTES,
         M_OUTPUT_Y_NAME, M_INPUT_X_1_DTYPE == NRT_DTYPE_FLOAT32);
  return nrt_unload(model) != NRT_SUCCESS;
}
"""


def run(*command, code=0, **more):
    found = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    assert (found.returncode == 0) == (code == 0), found.stdout + found.stderr
    return found.stdout + found.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The package, moved after it was installed."""
    first = tmp_path_factory.mktemp("package") / "first"
    run("cmake", "--install", BUILD, "--prefix", first)
    return first.rename(first.parent / "prefix")


def save_model(folder, value):
    """y = x.1 + w, with w in a file of its own."""
    w = onnx.numpy_helper.from_array(np.full((2, 300), value, np.float32), "w")
    kind = onnx.TensorProto.FLOAT
    graph = oh.make_graph([oh.make_node("Add", ["x.1", "w"], ["y"])], "g",
                          [oh.make_tensor_value_info("x.1", kind, [2, 300])],
                          [oh.make_tensor_value_info("y", kind, [2, 300])], [w])
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)], ir_version=8)
    (folder / "weights.bin").unlink(missing_ok=True)
    onnx.save(model, str(folder / "m.onnx"), save_as_external_data=True, location="weights.bin")


def project(folder, add_model, languages="C"):
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES {languages})\n"
        f"find_package(neuronc 0.1 REQUIRED)\n{add_model}\n"
        "add_executable(run run.c)\ntarget_link_libraries(run PRIVATE m neuronc::nrt)\n")
    (folder / "run.c").write_text(RUN)
    save_model(folder, 1)
    return folder


def configure(source, prefix, *options, generator="Ninja", code=0):
    return run("cmake", "-G", generator, "-S", source, "-B", source / "build",
               f"-DCMAKE_PREFIX_PATH={prefix}", *options, code=code)


def build(source, code=0):
    return run("cmake", "--build", source / "build", code=code)


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_the_example_carries_its_model(prefix, tmp_path, generator):
    work = tmp_path / "build"
    run("cmake", "-G", generator, "-S", ROOT / "examples/cmake_project", "-B", work,
        f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON")
    assert "Compiling the model glyphs.onnx" in run("cmake", "--build", work)
    os.remove(work / "glyphs.neff")
    assert "28 classes on 2 NeuronCores" in run(work / "classify")


@pytest.mark.parametrize("generator", ["Ninja", "Unix Makefiles"])
def test_external_data_is_a_dependency(prefix, tmp_path, generator):
    source = project(tmp_path / "my project", "neuronc_add_model(m m.onnx)")
    configure(source, prefix, generator=generator)
    assert "Compiling the model" in build(source)
    neff = source / "build/m.neff"
    assert run(source / "build/run", neff) == "x.1 2 300 2400 y 1\n"
    first = neff.read_bytes()
    assert "Compiling the model" not in build(source)
    model_bytes = (source / "m.onnx").read_bytes()
    save_model(source, 2)
    assert (source / "m.onnx").read_bytes() == model_bytes
    os.utime(source / "m.onnx", (0, 0))  # only weights.bin is newer
    assert "Compiling the model" in build(source)
    assert neff.read_bytes() != first


def test_install_and_options(prefix, tmp_path):
    source = project(tmp_path / "p", "neuronc_add_model(m m.onnx OUTPUT out/model.neff "
                                     "INSTALL_DESTINATION share/consumer OPTIONS --auto-cast none -O1)")
    configure(source, prefix)
    build(source)
    run("cmake", "--install", source / "build", "--prefix", tmp_path / "installed")
    shown = json.loads(run(prefix / "bin/neuronc", "inspect", "--json",
                           tmp_path / "installed/share/consumer/model.neff"))
    options = shown["compiler"]["options"]
    assert (options["auto-cast"], options["O"]) == ("none", "1")


def test_cross_compiling(prefix, tmp_path):
    """The target's processor need not run here, and the command is this machine's, wherever libraries are."""
    source = project(tmp_path / "p", "neuronc_add_model(m m.onnx TARGET_CPU x86-64-v3 x86-64-v4)")
    (tmp_path / "toolchain.cmake").write_text(
        "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR x86_64)\nset(CMAKE_C_COMPILER cc)\n"
        f"set(CMAKE_FIND_ROOT_PATH {prefix})\nset(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/toolchain.cmake"
    without = {**os.environ, "PATH": "/usr/bin:/bin"}
    found = subprocess.run(["cmake", "-S", source, "-B", source / "without", f"-DCMAKE_PREFIX_PATH={prefix}",
                            toolchain], capture_output=True, text=True, env=without)
    assert found.returncode != 0 and "set NEURONC_EXECUTABLE" in found.stderr
    configure(source, prefix, toolchain, f"-DNEURONC_EXECUTABLE={prefix}/bin/neuronc")
    build(source)
    shown = json.loads(run(prefix / "bin/neuronc", "inspect", "--json", source / "build/m.neff"))
    assert [target["name"] for target in shown["container"]["targets"]] == ["x86-64-v3", "x86-64-v4"]


def test_what_is_wrong_is_said(prefix, tmp_path):
    source = project(tmp_path / "p", "neuronc_add_model(m m.onnx OPTIONS --auto-cast some)")
    configure(source, prefix)
    assert "--auto-cast" in build(source, code=1)
    assert not (source / "build/m.neff").exists()
    for text, said in (("neuronc_add_model(m m.onnx EMBEDDED)", "unknown arguments"),
                       ("neuronc_add_model(m-x m.onnx)", "cannot be a name"),
                       ("neuronc_add_model(m m.onnx OUTPUT)", "no value follows")):
        assert said in configure(project(tmp_path / "p", text), prefix, code=1)
