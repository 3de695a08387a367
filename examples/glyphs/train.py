#!/usr/bin/python3
"""Trains the picture classifier of the quickstart and writes every file of this folder.

    /usr/bin/python3 train.py [--epochs N] [--pictures N] [--out DIR]

Needs only numpy and onnx (Debian's python3-numpy and python3-onnx) and seven minutes of one core. All is
seeded: the same numpy gives the same model. Writes glyphs.onnx, labels.txt, sample.png,
test_data_set_0/ and results.json; the accuracies in README.md are those of results.json.
"""
import argparse
import json
import pathlib
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import drawing
import network

BATCH = 56
TEST_PICTURES = 2800
TRAIN_SEED, TEST_SEED, NETWORK_SEED, SAMPLE_SEED = 1, 2, 3, 4
SAMPLE_LABEL, SAMPLE_SIZE = "umbrella", 96
MEAN, STD = 0.5, 0.25  # of pixel / 255, the same for the three channels


def normalise(pictures):
    """uint8 [N, H, W, 3] to the float32 that the model is fed, still [N, H, W, 3]."""
    return ((pictures / np.float32(255) - np.float32(MEAN)) / np.float32(STD)).astype(np.float32)


def jitter(pictures, rng):
    """A fresh variation of a normalised batch: small shift, contrast, and noise."""
    dy, dx = rng.integers(-2, 3, 2)
    pictures = np.roll(pictures, (dy, dx), axis=(1, 2))
    contrast = rng.uniform(.8, 1.2, (len(pictures), 1, 1, 3)).astype(np.float32)
    noise = rng.standard_normal(pictures.shape, np.float32) * np.float32(.1)
    return pictures * contrast + noise


class Adam:
    """Adam with decoupled weight decay on the weights (not on biases and scales)."""

    def __init__(self, parameters):
        self.slots = [(layer, name, np.zeros_like(layer.params[name]), np.zeros_like(layer.params[name]))
                      for layer, name in parameters]
        self.step_count = 0

    def step(self, rate):
        self.step_count += 1
        correction = np.sqrt(1 - .999 ** self.step_count) / (1 - .9 ** self.step_count)
        for layer, name, first, second in self.slots:
            gradient = layer.grads[name]
            first += np.float32(.1) * (gradient - first)
            second += np.float32(.001) * (gradient ** 2 - second)
            if name == "weight":
                layer.params[name] *= np.float32(1 - rate * .01)
            layer.params[name] -= np.float32(rate * correction) * first / (np.sqrt(second) + np.float32(1e-8))


def train(model, pictures, labels, epochs, rng):
    """Minimises the cross entropy, with a rate that rises for a while and falls along a cosine."""
    adam, inputs = Adam(model.parameters()), normalise(pictures)
    steps_per_epoch = len(inputs) // BATCH
    for epoch in range(epochs):
        order, loss, start = rng.permutation(len(inputs)), 0.0, time.time()
        for step in range(steps_per_epoch):
            picked = order[step * BATCH:(step + 1) * BATCH]
            progress = (epoch * steps_per_epoch + step + 1) / (epochs * steps_per_epoch)
            rate = 4e-3 * min(1, progress * 20) * .5 * (1 + np.cos(np.pi * progress))
            probabilities = network.softmax(model.forward(jitter(inputs[picked], rng)))
            chosen = np.arange(BATCH), labels[picked]
            loss -= np.log(probabilities[chosen] + 1e-9).mean()
            probabilities[chosen] -= 1
            model.backward(probabilities / np.float32(BATCH))
            adam.step(rate)
        print(f"epoch {epoch + 1}/{epochs}: loss {loss / steps_per_epoch:.4f}, "
              f"{time.time() - start:.0f} s", flush=True)


def evaluate(model, pictures, numerics):
    """Class probabilities of uint8 pictures, computed as `numerics` says; [N, classes]."""
    inputs = normalise(pictures).astype(numerics.dtype)
    batches = [model.infer(inputs[i:i + 100], numerics) for i in range(0, len(inputs), 100)]
    return network.softmax(np.concatenate(batches))


class OnnxGraph:
    """Collects the nodes and constants of an ONNX graph."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, array):
        name = f"{name}_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op_type, operands, result=None, **attributes):
        name = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, operands, [result or name], name, **attributes))
        return result or name


def export(model, path):
    """Writes the model with batch normalisation left as it is: folding it is the compiler's work."""
    graph = OnnxGraph()
    graph.node("Softmax", [model.export(graph, "image")], "probabilities", axis=1)
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes, "glyphs",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, len(drawing.LABELS)])],
            graph.constants),
        opset_imports=[helper.make_opsetid("", 13)], producer_name="neuronc-examples")
    proto.ir_version = 7
    onnx.checker.check_model(proto, full_check=True)
    path.write_bytes(proto.SerializeToString())


def write_test_data(model, picture, directory):
    """One held-out picture and its probabilities, computed in FP64 and rounded once to FP32."""
    directory.mkdir(exist_ok=True)
    image = normalise(picture[None]).transpose(0, 3, 1, 2)
    expected = evaluate(model, picture[None], network.FP64).astype(np.float32)
    for name, tensor_name, array in [("input_0", "image", image), ("output_0", "probabilities", expected)]:
        tensor = numpy_helper.from_array(np.ascontiguousarray(array), tensor_name)
        (directory / f"{name}.pb").write_bytes(tensor.SerializeToString())


def write_sample(model, directory):
    """The picture of the quickstart, three times as large as the model's input; returns its top 5."""
    index = drawing.LABELS.index(SAMPLE_LABEL)
    sample = drawing.render(index, np.random.default_rng(SAMPLE_SEED), SAMPLE_SIZE)
    drawing.write_png(directory / "sample.png", sample)
    factor = SAMPLE_SIZE // 32
    small = sample.reshape(32, factor, 32, factor, 3).mean(axis=(1, 3))
    probabilities = evaluate(model, small[None], network.FP32)[0]
    return [[drawing.LABELS[i], round(float(probabilities[i]), 4)] for i in np.argsort(-probabilities)[:5]]


def measure(model, pictures, labels):
    """Held-out accuracy in FP32 and BF16, and how far BF16 moves the result."""
    fp32, bf16, fp64 = (evaluate(model, pictures, n) for n in (network.FP32, network.BF16, network.FP64))
    cosine = ((bf16 * fp64).sum(axis=1)
              / np.linalg.norm(bf16, axis=1) / np.linalg.norm(fp64, axis=1))
    return {
        "accuracy_fp32": round(float((fp32.argmax(axis=1) == labels).mean()), 4),
        "accuracy_bf16": round(float((bf16.argmax(axis=1) == labels).mean()), 4),
        "same_class_fp32_bf16": round(float((fp32.argmax(axis=1) == bf16.argmax(axis=1)).mean()), 4),
        "lowest_cosine_bf16": round(float(cosine.min()), 5),
        "largest_difference_fp32": float(f"{np.abs(fp32 - fp64).max():.1e}"),
        "test_pictures": len(labels),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--pictures", type=int, default=14000, help="to train with")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    train_pictures, train_labels = drawing.render_set(options.pictures, TRAIN_SEED)
    test_pictures, test_labels = drawing.render_set(TEST_PICTURES, TEST_SEED)
    rng = np.random.default_rng(NETWORK_SEED)
    model = network.build(rng, len(drawing.LABELS))
    train(model, train_pictures, train_labels, options.epochs, rng)

    results = measure(model, test_pictures, test_labels)
    results["sample_top5"] = write_sample(model, options.out)
    export(model, options.out / "glyphs.onnx")
    write_test_data(model, test_pictures[0], options.out / "test_data_set_0")
    (options.out / "labels.txt").write_text("\n".join(drawing.LABELS) + "\n")
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
