"""Makes the seeds of the fuzzers, small valid inputs of each kind, from the repository and its compiler, and a
dictionary for each, KIND.dict: the words that the code which reads that kind compares with.

usage: make_seeds.py OUT SOURCE NEURONC
"""
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

MODELS = {
    "add": "f (float[2,3] x) => (float[2,3] y) <float[3] w = {1, 2, 3}> { y = Add (x, w) }",
    "conv": "f (float[1,2,5,5] x, float[3,2,3,3] w) => (float[1,3,5,5] y) "
            "{ h = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (h) }",
    "matmul": "f (float[2,4] x, float[4,3] w) => (float[2,3] y) { h = MatMul (x, w) y = Softmax (h) }",
    "host": "f (float[4] x) => (int64[1,n] y) { y = NonZero (x) }",
    "reshape": "f (float[2,6] x) => (float[3,4] y) <int64[2] s = {3, 4}> { y = Reshape (x, s) }",
    "reduce": "f (float[2,6] x) => (float[2,1] y) { y = ReduceMax <axes = [1]> (x) }",
    "slice": "f (float[8] x) => (float[4] y) <int64[1] b = {1}, int64[1] e = {5}> "
             "{ y = Slice (x, b, e) }",
    "loop": "f (int64 n, bool c, float[4] x) => (float[4] y) { y = Loop <body = b (int64 i, bool d, float[4] h) => "
            "(bool e, float[4] t) { t = Neg (h) s = ReduceMax <keepdims = 0> (t) z = Abs (s) e = Less (s, z) }> (n, c, x) }",
    "branch": "f (bool c, float[2] x, int64[2] i) => (float[2] y) { y = If <then_branch = t () => (float[2] a) "
              "{ a = Gather (x, i) }, else_branch = e () => (float[2] b) { b = Exp (x) }> (c) }",
    "scan": "f (float[2] h, float[3000,2] x) => (float[2] e, float[3000,2] y) { e, y = Scan <num_scan_inputs = 1, body = b "
            "(float[2] s, float[2] v) => (float[2] n, float[2] r) { n = Add (s, v) r = Tanh (n) }> (h, x) }",
}

# What reads each kind; every short string in it is a word.
READERS = {
    "onnx": ["compiler/onnx/*.cpp", "compiler/onnx/rules.def"],
    "nir": ["ir/ops.def", "ir/*.cpp", "ir/ops/*.cpp", "ir/base/*.cpp"],
    "kernel": ["ir/kernel/*.cpp"],
    "plan": ["ir/plan/*.cpp"],
    "neff": ["runtime/neff*.cpp", "runtime/*.h", "ir/plan/*.cpp"],
    "tensor": ["runtime/tools/tensor_file.cpp", "runtime/tools/image.cpp", "runtime/images/*.cpp"],
}
# Field tags of protobuf messages, the parts of pictures: not in our sources.
BYTES = {
    "onnx": [bytes([field << 3 | wire]) for field in range(1, 16) for wire in (0, 2)],
    "tensor": [b"\x93NUMPY\x01\x00", b"'descr': '<f4'", b"'fortran_order': True", b"'shape': (1, 2)", b"IHDR", b"IDAT",
               b"PLTE", b"tRNS", b"IEND", b"BM", b"GIF89a", b"P5\n", b"P6\n", b"\xff\xd8\xff", b"RIFF", b"II*\0"],
}


def write_dictionary(path, source, kind):
    words = set(BYTES.get(kind, []))
    for pattern in READERS[kind]:
        for file in sorted(source.glob(pattern)):
            text = re.sub(r'^#.*', '', file.read_text(), flags=re.M)
            found = re.findall(r'"([!-~]{2,24}?)"', text)
            found += re.findall(r'^(?:OP\(|\w+\("[^"]*", )(\w+)', text, re.M)
            words.update(word.encode() for word in found if not set(word) & set('\\{}%'))
    if not words:
        raise SystemExit(f"no words for {kind}: READERS is out of date")
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words))
    path.write_text("".join(f'"{line}"\n' for line in lines))


def png():
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(4))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def main():
    out, source, neuronc = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    shutil.rmtree(out, ignore_errors=True)
    for kind in ("onnx", "compile", "nir", "kernel", "plan", "neff", "tensor"):
        (out / kind).mkdir(parents=True)
    for name, text in MODELS.items():
        header = '<ir_version: 8, opset_import: ["" : 12]> ' if name == "reduce" else \
            '<ir_version: 8, opset_import: ["" : 17]> '
        model = onnx.parser.parse_model(header + text)
        path = out / "onnx" / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        shutil.copy(path, out / "compile")
        neff = out / "neff" / f"{name}.neff"
        subprocess.run([neuronc, path, "-q", "--emit-kernels", "-o", neff], check=True,
                       stderr=subprocess.DEVNULL)
        listed = subprocess.run([neuronc, "inspect", neff, "--plan"], check=True, capture_output=True,
                                text=True).stdout
        if "\nplan of " in listed:
            plan = listed[listed.index("\nplan of "):].split("\n", 2)[2]
            (out / "plan" / f"{name}.text").write_text(plan)
        folder = out / "members" / name
        folder.mkdir(parents=True)
        for member, kind in (("kernels.nki", "kernel"), ("plan", "plan")):
            done = subprocess.run([neuronc, "inspect", neff, "--extract", member], cwd=folder,
                                  capture_output=True)
            if done.returncode == 0:
                shutil.copy(folder / member, out / kind / f"{name}.{member}")
    shutil.rmtree(out / "members")
    for path in sorted((source / "test/lit").glob("*/*.nir")):
        text = "".join(line for line in path.open() if not line.startswith("//"))
        (out / "nir" / path.name).write_text(text)
    for dtype in ("float32", "int64", "bool", "float16"):
        array = np.arange(6).reshape(2, 3).astype(dtype)
        np.save(out / "tensor" / f"{dtype}.npy", array)
        (out / "tensor" / f"{dtype}.pb").write_bytes(
            onnx.numpy_helper.from_array(array).SerializeToString())
    (out / "tensor" / "picture.png").write_bytes(png())
    (out / "tensor" / "picture.ppm").write_bytes(b"P6\n2 2\n255\n" + bytes(range(12)))

    for kind in READERS:
        write_dictionary(out / f"{kind}.dict", source, kind)
    shutil.copy(out / "onnx.dict", out / "compile.dict")


main()
