"""A picture classifier in Python: compiles examples/glyphs for two NeuronCores, and classifies pictures.

usage: classify.py                 drawings that it makes itself, and how many are classified rightly
       classify.py PICTURE...      files, with python3-pil
"""
import sys
from pathlib import Path

import numpy as np

import neuronc

GLYPHS = Path(__file__).resolve().parent / "glyphs"
sys.path.insert(0, str(GLYPHS))


def as_input(pixels):
    """uint8 [32, 32, 3] as the network wants it: planes first, (pixel / 255 - 0.5) / 0.25."""
    values = (pixels.astype(np.float32) / 255 - 0.5) / 0.25
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def read_picture(path):
    from PIL import Image
    return np.asarray(Image.open(path).convert("RGB").resize((32, 32)))


def main(paths):
    labels = (GLYPHS / "labels.txt").read_text().splitlines()
    result = neuronc.compile(GLYPHS / "glyphs.onnx", num_neuroncores=2)
    print(f"{result.operations.on_neuroncores} of {result.operations.after_optimizations} operations on NeuronCores")
    with result.load() as model:
        for path in paths:
            probabilities = model.run({"image": as_input(read_picture(path))})["probabilities"][0]
            for index in probabilities.argsort()[:-4:-1]:
                print(f"{path}: {probabilities[index]:.4f} {labels[index]}")
        if not paths:
            import drawing
            pictures, truth = drawing.render_set(10 * len(labels), seed=2024)
            found = [model.run({"image": as_input(picture)})["probabilities"].argmax() for picture in pictures]
            print(f"{np.mean(found == truth):.1%} of {len(truth)} drawings classified rightly")


main(sys.argv[1:])
