#!/usr/bin/env python3
"""Writes benchmark models with the shapes of well-known networks and seeded weights (opset 17).

    make_models.py FOLDER [NAME...]

Names: vgg16, resnet18_b8 (batch 8), vit_b16 (12 layers of 768, 197 tokens), gpt2_s64 and gpt2_s1 (GPT-2
small on 64 tokens and on one), lstm (2 layers of 512, 64 steps). Needs python3 with numpy and onnx.
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Collects nodes and weights; methods return the names of results."""

    def __init__(self, name, seed):
        self.name = name
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []

    def weight(self, *shape, scale):
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def node(self, op, *operands, **attributes):
        result = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(operands), [result], name=result, **attributes))
        return result

    def input(self, name, shape, dtype=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def save(self, folder, result, shape):
        self.nodes.append(helper.make_node("Identity", [result], ["output"]))
        self.outputs.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, shape))
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, os.path.join(folder, self.name + ".onnx"))

    def conv(self, x, channels_in, channels, window, stride=1):
        w = self.weight(channels, channels_in, window, window,
                        scale=np.sqrt(2 / (channels_in * window * window)))
        b = self.weight(channels, scale=0.1)
        return self.node("Conv", x, w, b, kernel_shape=[window] * 2, strides=[stride] * 2,
                         pads=[window // 2] * 4)

    def linear(self, x, width_in, width):
        y = self.node("MatMul", x, self.weight(width_in, width, scale=1 / np.sqrt(width_in)))
        return self.node("Add", y, self.weight(width, scale=0.1))

    def norm(self, x, width):
        gain = self.constant(np.ones(width, np.float32))
        return self.node("LayerNormalization", x, gain, self.weight(width, scale=0.1), axis=-1)

    def gelu(self, x):
        half = self.node("Mul", x, self.constant(np.float32(0.5)))
        erf = self.node("Erf", self.node("Div", x, self.constant(np.float32(np.sqrt(2)))))
        return self.node("Mul", half, self.node("Add", erf, self.constant(np.float32(1))))

    def attention(self, x, tokens, width, heads, mask=None):
        """Self-attention as exporters write it: one product for q, k and v, then split."""
        def heads_of(name, perm):
            y = self.node("Reshape", name, self.ints(1, tokens, heads, width // heads))
            return self.node("Transpose", y, perm=perm)
        joined = self.linear(x, width, 3 * width)
        parts = [f"{joined}_{i}" for i in range(3)]
        self.nodes.append(helper.make_node("Split", [joined, self.ints(width, width, width)], parts,
                                           name=joined + "_split", axis=-1))
        q, k, v = (heads_of(p, [0, 2, 3, 1] if i == 1 else [0, 2, 1, 3])
                   for i, p in enumerate(parts))
        scores = self.node("Div", self.node("MatMul", q, k),
                           self.constant(np.float32(np.sqrt(width // heads))))
        if mask is not None:
            scores = self.node("Add", scores, mask)
        y = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        y = self.node("Reshape", self.node("Transpose", y, perm=[0, 2, 1, 3]),
                      self.ints(1, tokens, width))
        return self.linear(y, width, width)

    def transformer_layer(self, x, tokens, width, heads, mask=None):
        x = self.node("Add", x, self.attention(self.norm(x, width), tokens, width, heads, mask))
        y = self.gelu(self.linear(self.norm(x, width), width, 4 * width))
        return self.node("Add", x, self.linear(y, 4 * width, width))


def vgg16(folder):
    g = Graph("vgg16", 1)
    x, channels = g.input("input", [1, 3, 224, 224]), 3
    for count, width in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
        for _ in range(count):
            x, channels = g.node("Relu", g.conv(x, channels, width, 3)), width
        x = g.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", x, axis=1)
    for width_in, width in [(25088, 4096), (4096, 4096)]:
        x = g.node("Relu", g.linear(x, width_in, width))
    g.save(folder, g.linear(x, 4096, 1000), [1, 1000])


def resnet18_b8(folder):
    g = Graph("resnet18_b8", 2)
    x = g.node("Relu", g.conv(g.input("input", [8, 3, 224, 224]), 3, 64, 7, 2))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for width in [64, 128, 256, 512]:
        for block in range(2):
            stride = 2 if block == 0 and width > 64 else 1
            skip = x if channels == width else g.conv(x, channels, width, 1, stride)
            y = g.node("Relu", g.conv(x, channels, width, 3, stride))
            y = g.conv(y, width, width, 3)
            x, channels = g.node("Relu", g.node("Add", y, skip)), width
    x = g.node("Flatten", g.node("GlobalAveragePool", x), axis=1)
    g.save(folder, g.linear(x, 512, 1000), [8, 1000])


def vit_b16(folder):
    g = Graph("vit_b16", 3)
    image = g.input("input", [1, 3, 224, 224])
    w = g.weight(768, 3, 16, 16, scale=1 / np.sqrt(768))
    x = g.node("Conv", image, w, g.weight(768, scale=0.1), kernel_shape=[16, 16], strides=[16, 16])
    x = g.node("Transpose", g.node("Reshape", x, g.ints(1, 768, 196)), perm=[0, 2, 1])
    x = g.node("Concat", g.weight(1, 1, 768, scale=0.5), x, axis=1)
    x = g.node("Add", x, g.weight(1, 197, 768, scale=0.1))
    for _ in range(12):
        x = g.transformer_layer(x, 197, 768, 12)
    x = g.node("Gather", g.norm(x, 768), g.constant(np.int64(0)), axis=1)
    g.save(folder, g.linear(x, 768, 1000), [1, 1000])


def gpt2(folder, tokens):
    g = Graph(f"gpt2_s{tokens}", 4)
    ids = g.input("input_ids", [1, tokens], TensorProto.INT64)
    x = g.node("Gather", g.weight(50257, 768, scale=0.1), ids, axis=0)
    x = g.node("Add", x, g.weight(1, tokens, 768, scale=0.05))
    mask = None
    if tokens > 1:
        mask = g.constant(np.triu(np.full((1, 1, tokens, tokens), -1e4, np.float32), 1))
    for _ in range(12):
        x = g.transformer_layer(x, tokens, 768, 12, mask)
    x = g.node("MatMul", g.norm(x, 768), g.weight(768, 50257, scale=0.05))
    g.save(folder, x, [1, tokens, 50257])


def lstm(folder):
    g = Graph("lstm", 5)
    x, width, steps = g.input("input", [64, 1, 512]), 512, 64
    for _ in range(2):
        scale = 1 / np.sqrt(width)
        name = f"lstm{len(g.nodes)}"
        g.nodes.append(helper.make_node(
            "LSTM", [x, g.weight(1, 4 * width, 512, scale=scale),
                     g.weight(1, 4 * width, width, scale=scale), g.weight(1, 8 * width, scale=0.1)],
            [name], name=name, hidden_size=width))
        x = g.node("Squeeze", name, g.ints(1))
    g.save(folder, x, [steps, 1, width])


MODELS = {"vgg16": vgg16, "resnet18_b8": resnet18_b8, "vit_b16": vit_b16,
          "gpt2_s64": lambda folder: gpt2(folder, 64), "gpt2_s1": lambda folder: gpt2(folder, 1),
          "lstm": lstm}


def main(arguments):
    names = arguments[1:] or list(MODELS)
    if not arguments or any(name not in MODELS for name in names):
        sys.exit(__doc__)
    for name in names:
        MODELS[name](arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
