"""The Python package: compiling, running, and what it says when something is wrong."""
import asyncio
import gc
import json
import threading
from pathlib import Path

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper
import pytest

import neuronc
from neuronc import _types

GLYPHS = Path(__file__).resolve().parents[2] / "examples/glyphs/glyphs.onnx"


def model_of(nodes, inputs, outputs, initializers=(), opset=13):
    def values(declared):
        return [oh.make_tensor_value_info(name, kind, shape) for name, kind, shape in declared]
    graph = oh.make_graph(nodes, "g", values(inputs), values(outputs), list(initializers))
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", opset)], ir_version=8)


def node(op, inputs, outputs, **attributes):
    return oh.make_node(op, inputs, outputs, name=f"{op.lower()} node", **attributes)


F, I64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
ADD = model_of([node("Add", ["x", "y"], ["z"])], [("x", F, [2, 3]), ("y", F, [2, 3])], [("z", F, [2, 3])])


@pytest.fixture(scope="module")
def added():
    with neuronc.compile(ADD).load() as model:
        yield model


def arrays():
    return {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.full((2, 3), 10, np.float32)}


@pytest.mark.parametrize("form", ["path", "bytes", "proto"])
def test_a_model_in_each_of_its_forms(form, tmp_path):
    onnx.save(ADD, str(tmp_path / "m.onnx"))
    given = {"path": tmp_path / "m.onnx", "bytes": ADD.SerializeToString(), "proto": ADD}[form]
    result = neuronc.compile(given, output=tmp_path / "m.neff", num_neuroncores=1, auto_cast="none")
    assert result.neff == (tmp_path / "m.neff").read_bytes()
    assert result.operations == neuronc.OperationCounts(1, 1, 1, 0)
    assert result.report["operations"]["on_neuroncores"] == 1
    assert "1 of 1 operations on NeuronCores" in repr(result)
    with neuronc.Model(tmp_path / "m.neff") as model:
        np.testing.assert_array_equal(model.run(arrays())["z"], arrays()["x"] + 10)


def test_glyphs_on_four_cores():
    result = neuronc.compile(GLYPHS, num_neuroncores=4)
    with result.load() as model:
        assert model.info["nc_count"] == 4
        assert str(model.inputs[0]) == "image: float32[1, 3, 32, 32]"
        out = model.run(neuronc.seeded_inputs(model))["probabilities"]
    assert out.shape == (1, 28) and abs(out.sum() - 1) < 1e-3


def test_arrays_are_used_where_they_lie(added):
    x, z = np.ones((2, 3), np.float32), np.empty((2, 3), np.float32)
    found = added.run({"x": x, "y": x}, outputs={"z": z})
    assert found["z"] is z and (z == 2).all()
    strided = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2]
    np.testing.assert_array_equal(added.run({"x": strided, "y": x})["z"], strided + 1)
    assert added.run({"x": [[0, 1, 2], [3, 4, 5]], "y": x})["z"][1, 2] == 6


def test_what_does_not_fit_is_refused(added):
    good = arrays()
    with pytest.raises(TypeError, match="input `x` is float64, and the model wants float32"):
        added.run({**good, "x": good["x"].astype(np.float64)})
    with pytest.raises(ValueError, match=r"shape \(3, 2\), and the model wants x: float32\[2, 3\]"):
        added.run({**good, "x": good["x"].T})
    with pytest.raises(ValueError, match="missing are \\['y'\\], unknown are \\['w'\\]"):
        added.run({"x": good["x"], "w": good["y"]})
    with pytest.raises(ValueError, match="must be writable"):
        added.run(good, outputs={"z": np.empty((3, 2), np.float32)})
    with pytest.raises(ValueError, match="there are no outputs"):
        added.run(good, outputs={"q": np.empty((2, 3), np.float32)})


def test_a_closed_model_is_refused():
    model = neuronc.compile(ADD).load()
    model.close()
    model.close()
    with pytest.raises(neuronc.RuntimeStatusError) as error:
        model.run(arrays())
    assert error.value.name == "NRT_INVALID_HANDLE" and error.value.status == 3


def test_outputs_sized_at_run_time():
    model = model_of([node("NonZero", ["x"], ["y"])], [("x", F, [2, 3])], [("y", I64, [2, "n"])])
    with neuronc.compile(model).load() as loaded:
        assert loaded.outputs[0].shape == (2, None)
        y = loaded.run({"x": np.eye(2, 3, dtype=np.float32)})["y"]
    gc.collect()  # the array outlives the model
    np.testing.assert_array_equal(y, [[0, 1], [0, 1]])


def test_strings():
    model = model_of([node("StringNormalizer", ["x"], ["y"], case_change_action="UPPER")],
                     [("x", onnx.TensorProto.STRING, [2])], [("y", onnx.TensorProto.STRING, [2])], opset=10)
    with neuronc.compile(model).load() as loaded:
        assert loaded.run({"x": ["straße", "b c"]})["y"].tolist()[1] == "B C"


def sequence_model():
    """pair = (x), (x + x); `kept` is the optional input, or absent."""
    def value(name, kind):
        return oh.make_value_info(name, kind)
    tensor = oh.make_tensor_type_proto(F, ["n"])
    sequence = oh.make_sequence_type_proto(tensor)
    nodes = [node("SequenceInsert", ["many", "x"], ["more"]), node("SequenceLength", ["more"], ["count"]),
             node("Identity", ["maybe"], ["kept"])]
    inputs = [value("many", sequence), value("x", oh.make_tensor_type_proto(F, [3])),
              value("maybe", oh.make_optional_type_proto(tensor))]
    outputs = [value("more", sequence), value("count", oh.make_tensor_type_proto(I64, [])),
               value("kept", oh.make_optional_type_proto(tensor))]
    graph = oh.make_graph(nodes, "g", inputs, outputs)
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 16)], ir_version=8)


def test_sequences_and_optionals():
    x = np.arange(3, dtype=np.float32)
    with neuronc.compile(sequence_model()).load() as model:
        assert [info.kind for info in model.inputs] == ["sequence", "tensor", "optional"]
        assert "more: sequence of float32[" in repr(model)
        found = model.run({"many": [x[:2], x[:0]], "x": x, "maybe": x[1:]})
        assert [part.tolist() for part in found["more"]] == [[0, 1], [], [0, 1, 2]]
        assert found["count"] == 3 and found["kept"].tolist() == [1, 2]
        nothing = model.run({"many": [], "x": x, "maybe": None})
        assert len(nothing["more"]) == 1 and nothing["kept"] is None
        assert found["more"][0].tolist() == [0, 1]  # what a request gave does not change with the next
        with pytest.raises(TypeError, match="`many` is a sequence: give a list of arrays, not ndarray"):
            model.run({"many": x, "x": x, "maybe": None})
        with pytest.raises(TypeError, match="`many` is float64"):
            model.run({"many": [x.astype(np.float64)], "x": x, "maybe": None})
        with pytest.raises(ValueError, match="which the runtime allocates"):
            model.run({"many": [], "x": x, "maybe": None}, outputs={"more": x})

        async def one():
            return await model.run_async({"many": [x], "x": x, "maybe": x})
        assert len(asyncio.run(one())["more"]) == 2


def test_types_that_numpy_lacks(monkeypatch):
    model = model_of([node("Cast", ["x"], ["y"], to=onnx.TensorProto.BFLOAT16)], [("x", F, [3])],
                     [("y", onnx.TensorProto.BFLOAT16, [3])])
    x = np.array([1, -2, 3.140625], np.float32)
    bits = (x.view(np.uint32) >> 16).astype(np.uint16)
    monkeypatch.setattr(_types, "_ml_dtype", lambda name: None)
    with neuronc.compile(model).load() as loaded:
        raw = loaded.run({"x": x})["y"]
        assert loaded.outputs[0].dtype == "bfloat16" and raw.dtype == np.uint16
        np.testing.assert_array_equal(raw, bits)
        # With ml_dtypes, a type of its own: a stand-in of the same size plays its part.
        stand_in = np.dtype([("bits", np.uint16)])
        monkeypatch.setattr(_types, "_ml_dtype", lambda name: stand_in if name == "bfloat16" else None)
        typed = loaded.run({"x": x})["y"]
        assert typed.dtype == stand_in
        np.testing.assert_array_equal(typed["bits"], bits)


def test_ml_dtypes_where_it_is_there():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="Debian 12 has no package of it")
    model = model_of([node("Cast", ["x"], ["y"], to=F)], [("x", onnx.TensorProto.BFLOAT16, [2])], [("y", F, [2])])
    with neuronc.compile(model).load() as loaded:
        out = loaded.run({"x": np.array([1.5, -2], ml_dtypes.bfloat16)})["y"]
    np.testing.assert_array_equal(out, [1.5, -2])


def test_errors_carry_diagnostics(tmp_path):
    strange = model_of([oh.make_node("Strange", ["x"], ["y"], name="s", domain="odd")], [("x", F, [2])], [("y", F, [2])])
    strange.opset_import.append(oh.make_opsetid("odd", 1))
    with pytest.raises(neuronc.UnsupportedError) as error:
        neuronc.compile(strange, name="strange.onnx")
    found = [d for d in error.value.diagnostics if d.code == "NEU0203"][0]
    assert (found.severity, found.node, found.file) == ("error", "s", "strange.onnx")
    assert found.explain() == neuronc.explain("neu0203") and str(found) in str(error.value)
    with pytest.raises(neuronc.InvalidModelError, match="NEU0201"):
        neuronc.compile(b"no model")
    with pytest.raises(neuronc.InvalidModelError, match="NEU0001"):
        neuronc.compile(tmp_path / "absent.onnx")
    with pytest.raises(neuronc.UsageError, match="--auto-cast"):
        neuronc.compile(ADD, auto_cast="some")
    with pytest.raises(ValueError):
        neuronc.compile(ADD, num_neuroncores=0)
    with pytest.raises(neuronc.GateError, match="NEU0903"):
        neuronc.compile(model_of([node("NonZero", ["x"], ["y"])], [("x", F, [2])], [("y", I64, [1, "n"])]), max_host_ops=0)
    with pytest.raises(TypeError, match="not int"):
        neuronc.compile(4)
    with pytest.raises(KeyError):
        neuronc.explain("NEU9999")
    with pytest.raises(neuronc.RuntimeStatusError, match="NRT_INVALID"):
        neuronc.Model(b"no NEFF")


def test_check_raises_nothing():
    good = neuronc.check(ADD)
    assert good.ok and good.operations.on_neuroncores == 1 and good.host_nodes == []
    host = neuronc.check(model_of([node("NonZero", ["x"], ["y"])], [("x", F, [2])], [("y", I64, [1, "n"])]))
    assert host.ok and host.host_nodes[0]["node"] == "nonzero node"
    assert [d.code for d in host.diagnostics] == ["NEU0604"]
    bad = neuronc.check(b"no model")
    assert not bad.ok and bad.exit_code == 1
    with pytest.raises(neuronc.InvalidModelError):
        bad.raise_for_errors()


def test_dims_shapes_and_fixed_inputs(tmp_path):
    open_model = model_of([node("Add", ["x", "y"], ["z"])], [("x", F, ["n", 3]), ("y", F, [])], [("z", F, ["n", 3])])
    x = np.ones((4, 3), np.float32)
    for options in ({"dims": {"n": 4}}, {"input_shapes": {"x": (4, 3)}}):
        with neuronc.compile(open_model, fix_inputs={"y": 2}, **options).load() as loaded:
            assert [i.name for i in loaded.inputs] == ["x"]
            assert (loaded.run({"x": x})["z"] == 3).all()
    np.save(tmp_path / "y.npy", np.float32(5))
    with neuronc.compile(open_model, dims={"n": 4}, fix_inputs={"y": tmp_path / "y.npy"}).load() as loaded:
        assert (loaded.run({"x": x})["z"] == 6).all()


def test_progress_and_cancelling():
    seen = []
    neuronc.compile(GLYPHS, progress=lambda *step: seen.append(step))
    assert {phase for phase, *_ in seen} >= {"import", "passes", "code"}
    with pytest.raises(neuronc.InvalidModelError, match="NEU0006"):
        neuronc.compile(GLYPHS, progress=lambda *step: False)
    with pytest.raises(ZeroDivisionError):
        neuronc.compile(GLYPHS, progress=lambda *step: 1 / 0)

    class Bar:
        total, n, descriptions, refreshes = None, 0, [], 0

        def set_description(self, text, refresh):
            self.descriptions.append(text)

        def refresh(self):
            self.refreshes += 1

    bar = Bar()
    neuronc.compile(GLYPHS, progress=neuronc.tqdm_progress(bar))
    assert bar.refreshes == len(bar.descriptions) > 3 and bar.n <= bar.total


def test_threads_run_at_once_without_the_gil():
    with neuronc.compile(GLYPHS, num_neuroncores=2).load() as model:
        inputs = neuronc.seeded_inputs(model)
        wanted = model.run(inputs)["probabilities"]
        wrong = []

        def serve():
            for _ in range(50):
                if not np.array_equal(model.run(inputs)["probabilities"], wanted):
                    wrong.append(1)

        threads = [threading.Thread(target=serve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_compiling_lets_other_threads_run():
    ticks = []
    done = threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    neuronc.compile(GLYPHS, options=["--jobs", "1"])
    done.set()
    thread.join()
    assert len(ticks) > 5


def test_run_async(added):
    async def serve():
        requests = [added.run_async({"x": np.full((2, 3), i, np.float32), "y": np.ones((2, 3), np.float32)})
                    for i in range(20)]
        return [float((await request)["z"][0, 0]) for request in requests]

    assert asyncio.run(serve()) == [i + 1.0 for i in range(20)]

    async def fail():
        model = neuronc.compile(ADD).load()
        model.close()
        await model.run_async(arrays())

    with pytest.raises(neuronc.RuntimeStatusError):
        asyncio.run(fail())


def test_a_timeout_is_in_seconds(added):
    assert added.run(arrays(), timeout=30)["z"].shape == (2, 3)


def test_inspect_and_check_neff(tmp_path):
    path = neuronc.compile(ADD, target_cpu=["x86-64-v3"]).save(tmp_path / "m.neff")
    found = neuronc.inspect(path)
    assert found == neuronc.inspect(path.read_bytes())
    assert found["container"]["targets"][0]["name"] == "x86-64-v3"
    with pytest.raises(neuronc.InvalidModelError, match="NEU0801"):
        neuronc.inspect(b"no NEFF")
    here = neuronc.check_neff(path)
    assert here["runs"] and here["target"] == "x86-64-v3" and here["format"] == "1.0"
    elsewhere = neuronc.check_neff(path, features=["avx"])
    assert not elsewhere["runs"] and "avx2" in elsewhere["missing"]


def test_verify_against_the_evaluator_and_given_values():
    assert neuronc.verify(GLYPHS)
    assert neuronc.verify(GLYPHS, auto_cast="none", num_neuroncores=2).passed
    good = neuronc.verify(ADD, arrays(), {"z": arrays()["x"] + 10})
    bad = neuronc.verify(ADD, arrays(), {"z": arrays()["x"] * 3 + 10}, rtol=1e-3)
    assert good.passed and not bad.passed and bad.outputs[0].num_mismatches == 5
    assert "tolerance" in bad.outputs[0].why
    scaled = neuronc.verify(ADD, arrays(), {"z": 3 * (arrays()["x"] + 10)})
    assert not scaled and "norm" in scaled.outputs[0].why  # a cosine does not see scales
    np.testing.assert_array_equal(neuronc.evaluate(ADD, arrays())["z"], arrays()["x"] + 10)


def test_external_data_in_memory(tmp_path):
    weights = onnx.numpy_helper.from_array(np.full((4, 4), 2, np.float32), "w")
    model = model_of([node("MatMul", ["x", "w"], ["y"])], [("x", F, [1, 4])], [("y", F, [1, 4])], [weights])
    onnx.save(model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.data", size_threshold=0)
    data = (tmp_path / "m.data").read_bytes()
    result = neuronc.compile((tmp_path / "m.onnx").read_bytes(), external_data={"m.data": data})
    with result.load() as loaded:
        assert (loaded.run({"x": np.ones((1, 4), np.float32)})["y"] == 8).all()


def test_the_cache(tmp_path):
    first = neuronc.compile(ADD, cache_dir=tmp_path / "cache")
    second = neuronc.compile(ADD, cache_dir=tmp_path / "cache")
    assert (first.is_from_cache, second.is_from_cache) == (False, True)
    assert first.neff == second.neff and first.operations == second.operations


def test_reprs_and_metadata(added):
    assert "x: float32[2, 3], y: float32[2, 3]) -> (z: float32[2, 3])" in repr(added)
    assert added.metadata["outputs"][0]["name"] == "z"
    assert neuronc.__version__ and neuronc.version().startswith("neuronc ")
    json.dumps(neuronc.compile(ADD).report)


def test_everything_public_is_documented():
    for name in neuronc.__all__:
        assert getattr(neuronc, name).__doc__, name
    for member in ("run", "run_async", "close", "metadata"):
        assert getattr(neuronc.Model, member).__doc__, member
