"""Element types: what NEFFs say, as numpy knows them.

numpy lacks bfloat16, the 8-bit floats and the types below 8 bits. Where the package `ml_dtypes` is
installed its types stand for them; where it is not, arrays hold their raw bits (uint16 for bfloat16,
uint8 for the others; types below 8 bits take a byte an element).
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, Optional, Tuple

import numpy as np

# NRT_DTYPE_* of nrt.h -> name, numpy type or its name in ml_dtypes, the raw type.
_TYPES: Dict[int, Tuple[str, str, str]] = {
    0x1: ("uint64", "uint64", ""),
    0x2: ("int8", "int8", ""),
    0x3: ("uint8", "uint8", ""),
    0x4: ("int16", "int16", ""),
    0x5: ("uint16", "uint16", ""),
    0x6: ("bfloat16", "", "uint16"),
    0x7: ("float16", "float16", ""),
    0x8: ("int32", "int32", ""),
    0x9: ("uint32", "uint32", ""),
    0xA: ("float32", "float32", ""),
    0xC: ("int64", "int64", ""),
    0xE: ("float8_e4m3fn", "", "uint8"),
    0xF: ("float8_e5m2", "", "uint8"),
    0x100: ("bool", "bool", ""),
    0x101: ("float64", "float64", ""),
    0x102: ("string", "object", ""),
    0x103: ("int4", "", "int8"),
    0x104: ("uint4", "", "uint8"),
    0x105: ("int2", "", "int8"),
    0x106: ("uint2", "", "uint8"),
    0x107: ("float8_e4m3fnuz", "", "uint8"),
    0x108: ("float8_e5m2fnuz", "", "uint8"),
    0x109: ("float8_e8m0fnu", "", "uint8"),
    0x10A: ("float4_e2m1fn", "", "uint8"),
}


def _ml_dtype(name: str) -> Optional["np.dtype[Any]"]:
    try:
        module = importlib.import_module("ml_dtypes")
    except ImportError:
        return None
    kind = getattr(module, name, None)
    return None if kind is None else np.dtype(kind)


def type_name(code: int) -> str:
    """The name of an element type, such as ``"bfloat16"``."""
    return _TYPES[code][0]


def raw_dtype(code: int) -> "np.dtype[Any]":
    """What an array of the type's raw bits holds; the type itself where numpy has it."""
    name, known, raw = _TYPES[code]
    return np.dtype(known or raw)


def array_dtype(code: int) -> "np.dtype[Any]":
    """The type of the arrays that a model gives: numpy's, ml_dtypes', or the raw bits'."""
    name, known, raw = _TYPES[code]
    if known:
        return np.dtype(known)
    return _ml_dtype(name) or np.dtype(raw)
