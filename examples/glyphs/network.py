"""A small convolutional classifier in numpy: training, three kinds of inference, ONNX export.

Activations are [N, H, W, C] here, since rows of channels make numpy's products long; the exported
model is in ONNX's [N, C, H, W]. Every layer has the same four methods:

    forward(x)             training pass in FP32; remembers what backward needs
    backward(dy)           gradient of the input; stores the gradients of the parameters in `grads`
    infer(x, numerics)     inference pass in the precision that `numerics` states
    export(graph, value)   appends its ONNX nodes, returns the name of their result
"""
import numpy as np


def round_to_bf16(x):
    """Rounds float32 to the nearest BF16, ties to even, keeping it in float32; x must be finite."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & np.uint32(0xffff0000)
    return bits.view(np.float32)


class Numerics:
    """What arithmetic inference uses: its dtype, and how operands of products are rounded."""

    def __init__(self, dtype, round_operand=lambda x: x):
        self.dtype, self.round_operand = dtype, round_operand


FP64 = Numerics(np.float64)
FP32 = Numerics(np.float32)
BF16 = Numerics(np.float32, round_to_bf16)  # what `--auto-cast matmult` does; sums stay FP32


def shifted(padded, row, column, stride, out_size):
    """The pixels that tap (row, column) of a window sees: a view [N, out, out, C] of the padded input."""
    return padded[:, row:row + stride * (out_size - 1) + 1:stride,
                  column:column + stride * (out_size - 1) + 1:stride]


def pad_border(x, border):
    return np.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))


class Convolution:
    """Convolution, batch normalisation, and optionally ReLU. Square windows, padding of half a window.

    `depthwise` convolves each channel alone, with weights [K, K, C]; else weights are [K*K*Cin, Cout].
    """
    EPSILON, MOMENTUM = 1e-5, .05

    def __init__(self, rng, channels_in, channels_out, kernel=3, stride=1, depthwise=False, relu=True):
        self.kernel, self.stride, self.depthwise, self.relu = kernel, stride, depthwise, relu
        taps = kernel * kernel
        fan_in = taps if depthwise else taps * channels_in
        shape = (kernel, kernel, channels_in) if depthwise else (fan_in, channels_out)
        self.params = {
            "weight": rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32),
            "gamma": np.ones(channels_out, np.float32),
            "beta": np.zeros(channels_out, np.float32),
        }
        self.grads = {}
        self.mean, self.variance = np.zeros(channels_out, np.float32), np.ones(channels_out, np.float32)

    def convolve(self, x, weight):
        """The bare convolution in the dtype of its operands; keeps the columns for backward."""
        out_size = -(-x.shape[1] // self.stride)
        self.x_shape, padded = x.shape, pad_border(x, self.kernel // 2)
        taps = [(r, s) for r in range(self.kernel) for s in range(self.kernel)]
        views = [shifted(padded, r, s, self.stride, out_size) for r, s in taps]
        if self.depthwise:
            self.columns = padded
            return sum(view * weight[r, s] for view, (r, s) in zip(views, taps))
        self.columns = np.concatenate(views, axis=3).reshape(-1, weight.shape[0])
        return (self.columns @ weight).reshape(x.shape[0], out_size, out_size, -1)

    def forward(self, x):
        y = self.convolve(x, self.params["weight"])
        mean, variance = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
        self.mean += self.MOMENTUM * (mean - self.mean)
        self.variance += self.MOMENTUM * (variance - self.variance)
        self.scale = 1 / np.sqrt(variance + np.float32(self.EPSILON))
        self.normal = (y - mean) * self.scale
        y = self.normal * self.params["gamma"] + self.params["beta"]
        self.active = y > 0 if self.relu else True
        return y * self.active

    def backward(self, dy):
        dy = dy * self.active
        self.grads["gamma"] = (dy * self.normal).sum(axis=(0, 1, 2))
        self.grads["beta"] = dy.sum(axis=(0, 1, 2))
        count = np.float32(dy.size // dy.shape[3])
        dy = dy - (self.grads["beta"] + self.normal * self.grads["gamma"]) / count
        return self.backward_convolution(dy * (self.scale * self.params["gamma"]))

    def backward_convolution(self, dy):
        """Scatters the gradient of each tap back to the pixels that the tap read."""
        weight, border, out_size = self.params["weight"], self.kernel // 2, dy.shape[1]
        channels = self.x_shape[3]
        dx = pad_border(np.zeros(self.x_shape, np.float32), border)
        if self.depthwise:
            self.grads["weight"] = np.empty_like(weight)
        else:
            flat = dy.reshape(-1, weight.shape[1])
            # Contiguous operands: a plain BLAS is twice as fast with long inner rows.
            self.grads["weight"] = (np.ascontiguousarray(flat.T) @ self.columns).T
            d_columns = (flat @ np.ascontiguousarray(weight.T)).reshape(*dy.shape[:3], -1)
        for r in range(self.kernel):
            for s in range(self.kernel):
                target = shifted(dx, r, s, self.stride, out_size)
                if self.depthwise:
                    seen = shifted(self.columns, r, s, self.stride, out_size)
                    self.grads["weight"][r, s] = (seen * dy).sum(axis=(0, 1, 2))
                    target += dy * weight[r, s]
                else:
                    tap = (r * self.kernel + s) * channels
                    target += d_columns[..., tap:tap + channels]
        height, width = self.x_shape[1:3]
        return dx[:, border:border + height, border:border + width]

    def infer(self, x, numerics):
        """Folds the normalisation into the convolution first, as a compiler does, and then rounds."""
        scale = self.params["gamma"].astype(np.float64) / np.sqrt(self.variance + self.EPSILON)
        weight = (self.params["weight"] * scale).astype(numerics.dtype)
        bias = (self.params["beta"] - self.mean * scale).astype(numerics.dtype)
        y = self.convolve(numerics.round_operand(x), numerics.round_operand(weight)) + bias
        return np.maximum(y, 0) if self.relu else y

    def export(self, graph, value):
        channels_out, k, border = len(self.mean), self.kernel, self.kernel // 2
        weight = self.params["weight"].reshape(k, k, -1, channels_out)
        weight = weight.transpose(3, 2, 0, 1)  # depthwise: [k, k, 1, C], one input channel a group
        value = graph.node("Conv", [value, graph.constant("weight", weight)], kernel_shape=[k, k],
                           strides=[self.stride] * 2, pads=[border] * 4,
                           group=channels_out if self.depthwise else 1)
        statistics = [("scale", self.params["gamma"]), ("bias", self.params["beta"]),
                      ("mean", self.mean), ("variance", self.variance)]
        value = graph.node("BatchNormalization",
                           [value] + [graph.constant(name, array) for name, array in statistics],
                           epsilon=self.EPSILON)
        return graph.node("Relu", [value]) if self.relu else value


class MaxPool:
    """Largest value of each 2x2 window."""

    def forward(self, x):
        n, height, width, channels = x.shape
        self.windows = x.reshape(n, height // 2, 2, width // 2, 2, channels)
        self.largest = self.windows.max(axis=(2, 4), keepdims=True)
        return self.largest[:, :, 0, :, 0]

    def backward(self, dy):
        winners = self.windows == self.largest
        dx = winners * (dy[:, :, None, :, None] / winners.sum(axis=(2, 4), keepdims=True))
        n, rows, _, columns, _, channels = dx.shape
        return dx.astype(np.float32).reshape(n, rows * 2, columns * 2, channels)

    def infer(self, x, numerics):
        return self.forward(x)

    def export(self, graph, value):
        return graph.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])


class GlobalAveragePool:
    """Mean over all pixels: [N, H, W, C] to [N, C]."""

    def forward(self, x):
        self.x_shape = x.shape
        return x.mean(axis=(1, 2))

    def backward(self, dy):
        pixels = np.float32(self.x_shape[1] * self.x_shape[2])
        return np.broadcast_to((dy / pixels)[:, None, None], self.x_shape)

    def infer(self, x, numerics):
        return self.forward(x)

    def export(self, graph, value):
        value = graph.node("GlobalAveragePool", [value])
        return graph.node("Flatten", [value], axis=1)


class Dense:
    """Matrix product and bias: [N, I] to [N, O]."""

    def __init__(self, rng, features_in, features_out):
        self.params = {
            "weight": rng.normal(0, np.sqrt(1 / features_in), (features_in, features_out)).astype(np.float32),
            "bias": np.zeros(features_out, np.float32),
        }
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["weight"] + self.params["bias"]

    def backward(self, dy):
        self.grads = {"weight": self.x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ self.params["weight"].T

    def infer(self, x, numerics):
        weight, bias = (self.params[name].astype(numerics.dtype) for name in ("weight", "bias"))
        return numerics.round_operand(x) @ numerics.round_operand(weight) + bias

    def export(self, graph, value):
        weight, bias = (graph.constant(name, array) for name, array in self.params.items())
        return graph.node("Gemm", [value, weight, bias])


class Sequence:
    """Layers one after the other."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def infer(self, x, numerics):
        for layer in self.layers:
            x = layer.infer(x, numerics)
        return x

    def export(self, graph, value):
        for layer in self.layers:
            value = layer.export(graph, value)
        return value

    def parameters(self):
        """Each (layer, parameter name), in the order of execution."""
        for layer in self.layers:
            if isinstance(layer, Sequence):
                yield from layer.parameters()
            for name in getattr(layer, "params", {}):
                yield layer, name


class Residual(Sequence):
    """ReLU of a body plus its input."""

    def forward(self, x):
        y = super().forward(x) + x
        self.active = y > 0
        return y * self.active

    def backward(self, dy):
        dy = dy * self.active
        return super().backward(dy) + dy

    def infer(self, x, numerics):
        return np.maximum(super().infer(x, numerics) + x, 0)

    def export(self, graph, value):
        return graph.node("Relu", [graph.node("Add", [super().export(graph, value), value])])


def build(rng, num_classes):
    """The classifier for 32x32 pictures: a stem, a depthwise block, a residual block, a head."""
    return Sequence(
        Convolution(rng, 3, 16, stride=2),
        Convolution(rng, 16, 16, depthwise=True),
        Convolution(rng, 16, 32, kernel=1),
        MaxPool(),
        Residual(Convolution(rng, 32, 32), Convolution(rng, 32, 32, relu=False)),
        Convolution(rng, 32, 64, stride=2),
        GlobalAveragePool(),
        Dense(rng, 64, num_classes))


def softmax(logits):
    """Probabilities along the last axis."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)
