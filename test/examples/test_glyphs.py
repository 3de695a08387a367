#!/usr/bin/python3
"""Checks the numpy training of examples/glyphs: its gradients, its rounding, and the files that it writes.

    test_glyphs.py EXAMPLES_GLYPHS_FOLDER
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
from onnx import numpy_helper

GLYPHS = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(GLYPHS))
import drawing
import network


def load_tensor(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


class Network(unittest.TestCase):
    def test_gradients_agree_with_finite_differences(self):
        rng = np.random.default_rng(0)
        model = network.build(rng, 10)
        for layer, name in model.parameters():
            layer.params[name] = layer.params[name].astype(np.float64)
        pictures, labels = rng.normal(size=(4, 32, 32, 3)), rng.integers(0, 10, 4)
        chosen = np.arange(4), labels

        def loss():
            return -np.log(network.softmax(model.forward(pictures))[chosen]).mean()

        gradient = network.softmax(model.forward(pictures))
        gradient[chosen] -= 1
        model.backward(gradient / 4)
        for layer, name, expected in [(l, n, l.grads[n].copy()) for l, n in model.parameters()]:
            element = tuple(rng.integers(0, size) for size in expected.shape)
            values, step, kept = layer.params[name], 1e-5, layer.params[name][element]
            values[element] = kept + step
            above = loss()
            values[element] = kept - step
            below = loss()
            values[element] = kept
            self.assertAlmostEqual((above - below) / (2 * step), expected[element], delta=1e-6,
                                   msg=f"{type(layer).__name__} {name}{element}")

    def test_bf16_rounds_to_nearest_even(self):
        bits = np.array([0x3f800000, 0x3f808000, 0x3f808001, 0x3f818000, 0xbf807fff], np.uint32)
        rounded = network.round_to_bf16(bits.view(np.float32)).view(np.uint32)
        self.assertEqual([hex(x) for x in rounded],
                         ["0x3f800000", "0x3f800000", "0x3f810000", "0x3f820000", "0xbf800000"])


class Files(unittest.TestCase):
    def test_drawing_is_seeded(self):
        first, labels = drawing.render_set(len(drawing.LABELS), 7)
        again, _ = drawing.render_set(len(drawing.LABELS), 7)
        self.assertTrue((first == again).all())
        self.assertEqual(list(labels), list(range(len(drawing.LABELS))))

    def test_a_short_training_writes_every_file(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            subprocess.run([sys.executable, "-B", GLYPHS / "train.py", "--epochs", "1", "--pictures", "224",
                            "--out", out], check=True, stdout=subprocess.DEVNULL)
            onnx.checker.check_model(onnx.load(str(out / "glyphs.onnx")), full_check=True)
            written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        committed = {str(path.relative_to(GLYPHS)) for path in GLYPHS.rglob("*")
                     if path.is_file() and path.suffix not in (".py", ".md", ".pyc")}
        self.assertEqual(written, committed)

    def test_committed_files_belong_together(self):
        labels = (GLYPHS / "labels.txt").read_text().split("\n")[:-1]
        self.assertEqual(labels, drawing.LABELS)
        expected = load_tensor(GLYPHS / "test_data_set_0" / "output_0.pb")
        self.assertEqual(expected.shape, (1, len(labels)))
        self.assertAlmostEqual(float(expected.sum()), 1, places=5)
        self.assertEqual(load_tensor(GLYPHS / "test_data_set_0" / "input_0.pb").shape, (1, 3, 32, 32))


if __name__ == "__main__":
    unittest.main()
