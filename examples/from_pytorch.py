"""From a PyTorch module to a running NEFF, compared with what PyTorch computes. Needs torch."""
import numpy as np
import torch
from torch import nn

import neuronc


class Network(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(16, 10))


network = Network().eval()
example = torch.zeros(1, 3, 32, 32)
torch.onnx.export(network, (example,), "network.onnx", input_names=["image"], output_names=["scores"],
                  opset_version=17)

image = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
with neuronc.compile("network.onnx", num_neuroncores=2).load() as model:
    scores = model.run({"image": image})["scores"]
expected = network(torch.from_numpy(image)).detach().numpy()
print(f"largest difference from PyTorch: {np.abs(scores - expected).max():.2e}")
np.testing.assert_allclose(scores, expected, atol=2e-2)
