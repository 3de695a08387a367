"""The compile cache: hits say so and give the same bytes, whatever goes wrong is a miss.

usage: pytest test_cache.py, with NEURONC naming the command
"""
import json
import os
import subprocess
from pathlib import Path

import numpy
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest

NEURONC = os.environ["NEURONC"]


def save_model(path, value=1.0, external=False):
    weights = onnx.numpy_helper.from_array(numpy.full((64, 64), value, numpy.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
         onnx.helper.make_node("NonZero", ["p"], ["y"], name="places")], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [4, 64])],
        [onnx.helper.make_tensor_value_info("y", 7, [2, "n"])], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7)
    more = {"save_as_external_data": True, "location": path.name + ".data",
            "size_threshold": 0} if external else {}
    onnx.save(model, str(path), **more)


@pytest.fixture
def here(tmp_path):
    save_model(tmp_path / "m.onnx")
    return tmp_path


def compile_model(here, *args, model="m.onnx", out="m.neff", cache="cache", env=None):
    command = [NEURONC, model, "-o", out, "--format", "json", *args]
    if cache:
        command += ["--cache-dir", cache]
    result = subprocess.run(command, cwd=here, capture_output=True, text=True,
                            env={**os.environ, **(env or {})})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["models"][0], result.stderr, (here / out).read_bytes()


def entries(here, cache="cache"):
    return sorted((here / cache).glob("*.entry"))


def test_a_hit_gives_the_same_bytes_and_messages(here):
    first, _, first_bytes = compile_model(here, "--report", "r1.json")
    second, text, second_bytes = compile_model(here, "--report", "r2.json", out="n.neff")
    assert (first["is_from_cache"], second["is_from_cache"]) == (False, True)
    assert "n.neff was taken from the cache" in text
    assert first_bytes == second_bytes
    for key in ("messages", "operations", "figures"):
        assert first[key] == second[key]
    assert first["messages"][0]["code"] == "NEU0604"
    reports = [json.loads((here / name).read_text()) for name in ("r1.json", "r2.json")]
    assert reports[1].pop("is_from_cache") is True
    assert reports[0] == reports[1]


def test_a_hit_speaks_of_the_file_that_was_named(here):
    compile_model(here)
    (here / "copy").mkdir()
    (here / "copy/m.onnx").write_bytes((here / "m.onnx").read_bytes())
    found, _, _ = compile_model(here, model="copy/m.onnx")
    assert found["is_from_cache"] and found["messages"][0]["file"] == "copy/m.onnx"


@pytest.mark.parametrize("change", [["--auto-cast", "none"], ["-O1"], ["--num-neuroncores", "2"],
                                    ["--target-cpu", "x86-64-v3"], ["--emit-kernels"]])
def test_options_are_part_of_the_key(here, change):
    compile_model(here)
    found, _, _ = compile_model(here, *change)
    assert not found["is_from_cache"]
    assert len(entries(here)) == 2


def test_model_and_external_data_are_part_of_the_key(here):
    save_model(here / "e.onnx", 1.0, external=True)
    _, _, first = compile_model(here, model="e.onnx")
    save_model(here / "e.onnx", 2.0, external=True)
    found, _, second = compile_model(here, model="e.onnx")
    assert not found["is_from_cache"] and first != second
    assert compile_model(here, model="e.onnx")[0]["is_from_cache"]


def test_fixed_input_files_are_part_of_the_key(here):
    for value, is_hit in ((1, False), (2, False), (2, True)):
        numpy.save(here / "x.npy", numpy.full((4, 64), value, numpy.float32))
        found, _, _ = compile_model(here, "--fix-input", "x=x.npy")
        assert found["is_from_cache"] is is_hit


@pytest.mark.parametrize("damage", [b"", b"NEUCACH1", b"x" * 4096])
def test_a_damaged_entry_is_a_miss(here, damage):
    _, _, good = compile_model(here)
    entries(here)[0].write_bytes(damage)
    found, _, again = compile_model(here)
    assert not found["is_from_cache"] and again == good
    assert compile_model(here)[0]["is_from_cache"]


def test_a_flipped_bit_is_a_miss(here):
    compile_model(here)
    entry = entries(here)[0]
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)
    assert not compile_model(here)[0]["is_from_cache"]


def test_a_cache_that_cannot_be_used_is_no_failure(here):
    (here / "file").write_text("no folder")
    for place, reason in (("file", "Not a directory"), ("/proc/no/such/place", "No such file or directory")):
        found, text, _ = compile_model(here, "-q", cache=place)
        assert [m["code"] for m in found["messages"]] == ["NEU0604", "NEU0009"]
        assert f"the result is not kept in the cache `{place}`: {reason}" in text


def test_the_size_is_bounded_and_the_oldest_go_first(here):
    for i in range(4):
        save_model(here / f"m{i}.onnx", float(i))
        compile_model(here, model=f"m{i}.onnx")
    size = entries(here)[0].stat().st_size
    compile_model(here, model="m0.onnx")  # the oldest becomes the youngest
    save_model(here / "m9.onnx", 9.0)
    compile_model(here, "--cache-limit", str(3 * size + size // 2), model="m9.onnx")
    assert len(entries(here)) == 3
    assert compile_model(here, model="m0.onnx")[0]["is_from_cache"]
    assert not compile_model(here, model="m1.onnx", cache="cache")[0]["is_from_cache"]
    compile_model(here, "--cache-limit", "10", cache="tiny")
    assert entries(here, "tiny") == []


def test_the_environment_names_the_folder(here):
    compile_model(here, cache=None, env={"NEURONC_CACHE": "from-env"})
    assert len(entries(here, "from-env")) == 1
    assert compile_model(here, cache=None, env={"NEURONC_CACHE": "from-env"})[0]["is_from_cache"]
    assert not compile_model(here, cache=None, env={"NEURONC_CACHE": ""})[0]["is_from_cache"]


def test_parallel_jobs_share_a_folder(here):
    jobs = [subprocess.Popen([NEURONC, "m.onnx", "-o", f"p{i}.neff", "-q", "--cache-dir", "cache"], cwd=here)
            for i in range(6)]
    assert [job.wait() for job in jobs] == [0] * 6
    assert len({(here / f"p{i}.neff").read_bytes() for i in range(6)}) == 1
    assert [Path(path).name for path in (here / "cache").iterdir() if path.suffix != ".entry"] == ["CACHEDIR.TAG"]
    assert len(entries(here)) == 1


def test_gates_hold_for_hits(here):
    compile_model(here)
    result = subprocess.run([NEURONC, "m.onnx", "-o", "d.neff", "--cache-dir", "cache", "--deny", "NEU0604"],
                            cwd=here, capture_output=True)
    assert result.returncode == 5 and not (here / "d.neff").exists()
