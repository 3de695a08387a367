#!/usr/bin/env python3
"""usage: flow.py NEURONC FIRST COUNT -- models of random control flow, compiled and compared with the evaluator.

Each seed gives a model of branches, loops and scans inside one another: counts and conditions that data decide, results
stacked forwards and backwards, values handed on, given twice or never read. It is verified with options of its own, on one
core or several, and, but at -O0, has to run on the cores alone. A failure prints the seed; `flow.py NEURONC SEED 1` repeats it
and keeps the model."""
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

node = helper.make_node
OPTIONS = [[], ["-O0"], ["-O3"], ["--num-neuroncores", "2", "--partition", "tensor"],
           ["--num-neuroncores", "3", "--partition", "pipeline"], ["--num-neuroncores", "4"]]
MOST_NESTED = 2


class Scope:
    """The nodes and constants of a graph under construction, and the values that its nodes may read."""

    def __init__(self, maker, values, depth):
        self.maker, self.values, self.depth = maker, list(values), depth
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = self.maker.name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, *operands, **attributes):
        name = self.maker.name("v")
        self.nodes.append(node(op, list(operands), [name], **attributes))
        return name

    def graph(self, inputs, outputs):
        return helper.make_graph(self.nodes, self.maker.name("g"), inputs, outputs, self.constants)


class Maker:
    def __init__(self, seed):
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.num_names = 0
        self.shape = [self.random.choice([1, 2, 4]), self.random.choice([1, 3, 8, 16, 33])]

    def name(self, prefix):
        self.num_names += 1
        return f"{prefix}{self.num_names}"

    def value(self, name, shape=None):
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, self.shape if shape is None else shape)

    def fill(self, scope, count):
        plain = [self.pointwise, self.product, self.turn, self.window, self.mean, self.choice]
        blocks = [self.branch, self.loop, self.scan] if scope.depth < MOST_NESTED else []
        for _ in range(count):
            self.random.choice(plain + blocks + blocks[1:2])(scope)

    def pick(self, scope):
        return self.random.choice(scope.values)

    def pointwise(self, scope):
        op = self.random.choice(["Add", "Sub", "Tanh", "Sigmoid", "Neg", "Abs", "Relu"])
        operands = [self.pick(scope) for _ in range(2 if op in ("Add", "Sub") else 1)]
        scope.values.append(scope.add(op, *operands))

    def product(self, scope):
        width = self.shape[1]
        weights = scope.constant(self.numbers.standard_normal((width, width)).astype("f4") / width ** .5)
        scope.values.append(scope.add("Tanh", scope.add("MatMul", self.pick(scope), weights)))

    def turn(self, scope):
        turned = scope.add("Transpose", self.pick(scope), perm=[1, 0])
        scope.values.append(scope.add("Reshape", turned, scope.constant(np.array(self.shape, "i8"))))

    def window(self, scope):
        joined = scope.add("Concat", self.pick(scope), self.pick(scope), axis=0)
        bounds = [scope.constant(np.array([n], "i8")) for n in (1, 1 + self.shape[0], 0)]
        scope.values.append(scope.add("Slice", joined, *bounds))

    def mean(self, scope):
        scope.values.append(scope.add("Add", scope.add("ReduceMean", self.pick(scope), axes=[1], keepdims=1), self.pick(scope)))

    def choice(self, scope):
        a, b = self.pick(scope), self.pick(scope)
        scope.values.append(scope.add("Where", scope.add("Greater", a, b), a, b))

    def give(self, scope, count, recent=None):
        """Outputs of a body: of late values, each handed on or computed from."""
        outputs = []
        for _ in range(count):
            value = self.random.choice(scope.values[-recent:] if recent else scope.values)
            outputs.append(self.value(scope.add(self.random.choice(["Tanh", "Identity"]), value)))
        return outputs

    def branch(self, scope):
        limit = scope.constant(np.float32(self.random.choice([-.3, 0, .5])))
        condition = scope.add("Greater", scope.add("ReduceMean", self.pick(scope), keepdims=0), limit)
        results = [self.name("r") for _ in range(self.random.randint(1, 2))]
        bodies = []
        for _ in range(2):
            body = Scope(self, scope.values, scope.depth + 1)
            self.fill(body, self.random.randint(0, 4))
            bodies.append(body.graph([], self.give(body, len(results))))
        scope.nodes.append(node("If", [condition], results, then_branch=bodies[0], else_branch=bodies[1]))
        scope.values += results

    def loop(self, scope):
        is_counted = self.random.random() < .4
        num_carried, num_stacked = self.random.randint(1, 2), self.random.randint(0, 1) if is_counted else 0
        if is_counted:
            count = scope.constant(np.int64(self.random.choice([-1, 0, 1, 3, 900])))
        else:
            is_positive = scope.add("Greater", self.pick(scope), scope.constant(np.float32(0)))
            count = scope.add("ReduceSum", scope.add("Cast", is_positive, to=onnx.TensorProto.INT64), keepdims=0)
        trip, holds, counter = (self.name(p) for p in ("trip", "holds", "counter"))
        carried = [self.name("h") for _ in range(num_carried)]
        body = Scope(self, scope.values + carried, scope.depth + 1)
        counted = body.add("Add", counter, body.constant(np.float32(1)))
        step = body.add("Mul", body.add("Cast", trip, to=onnx.TensorProto.FLOAT), body.constant(np.float32(.001)))
        body.values.append(body.add("Add", carried[0], step))
        self.fill(body, self.random.randint(1, 4))
        if not is_counted and self.random.random() < .5:
            goes_on = body.add("Less", counted, body.constant(np.float32(self.random.choice([1, 5, 40]))))
        else:
            goes_on = body.add("Identity", holds)
        outputs = self.give(body, num_carried + num_stacked, recent=6)
        inputs = [helper.make_tensor_value_info(trip, onnx.TensorProto.INT64, []),
                  helper.make_tensor_value_info(holds, onnx.TensorProto.BOOL, []), self.value(counter, [])]
        graph = body.graph(inputs + [self.value(name) for name in carried],
                           [helper.make_tensor_value_info(goes_on, onnx.TensorProto.BOOL, []), self.value(counted, [])] + outputs)
        results = [self.name("r") for _ in range(num_carried)]
        stacked = [self.name("s") for _ in range(num_stacked)]
        initial = [scope.constant(np.float32(0))] + [self.pick(scope) for _ in carried]
        scope.nodes.append(node("Loop", [count, ""] + initial, [self.name("n")] + results + stacked, body=graph))
        scope.values += results
        for name in stacked:
            scope.values.append(scope.add("ReduceSum", name, scope.constant(np.array([0], "i8")), keepdims=0))

    def scan(self, scope):
        trips = self.random.choice([1, 4, 700])
        sliced = scope.add("Expand", self.pick(scope), scope.constant(np.array([trips] + self.shape, "i8")))
        state, row = self.name("h"), self.name("x")
        body = Scope(self, scope.values + [state, row], scope.depth + 1)
        self.fill(body, self.random.randint(1, 4))
        graph = body.graph([self.value(state), self.value(row)], self.give(body, 2, recent=5))
        end, rows = self.name("r"), self.name("s")
        scope.nodes.append(node("Scan", [self.pick(scope), sliced], [end, rows], body=graph, num_scan_inputs=1,
                                scan_input_directions=[self.random.randint(0, 1)], scan_output_directions=[self.random.randint(0, 1)]))
        scope.values += [end, scope.add("ReduceMean", rows, axes=[0], keepdims=0)]

    def model(self):
        scope = Scope(self, ["x", "z"], 0)
        self.fill(scope, self.random.randint(2, 5))
        made = scope.values[2:]
        outputs = [self.value(scope.add("Identity", self.random.choice(made))) for _ in range(self.random.randint(1, 3))]
        model = helper.make_model(scope.graph([self.value("x"), self.value("z")], outputs), opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        return model


def main():
    neuronc, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    num_failed = 0
    for seed in range(first, first + count):
        folder = Path(tempfile.mkdtemp(prefix="flow."))
        path = folder / f"{seed}.onnx"
        onnx.save(Maker(seed).model(), path)
        options = OPTIONS[seed % len(OPTIONS)]
        gate = [] if "-O0" in options else ["--max-host-ops", "0"]
        # Products of up to 900 trips: their sums differ by rounding alone.
        command = [neuronc, "verify", path, "--auto-cast", "none", "--rtol", "2e-2", "--atol", "2e-3"] + options + gate
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0 and count > 1:
            path.unlink()
            folder.rmdir()
        if done.returncode == 0:
            continue
        num_failed += 1
        print(f"seed {seed}: exit {done.returncode}: {' '.join(map(str, command))}\n{done.stdout[-1500:]}")
    print(f"{count} models, {num_failed} failed")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
