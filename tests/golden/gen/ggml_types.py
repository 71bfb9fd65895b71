#!/usr/bin/env python3
"""Golden vectors for the ggml types of GGUF.

Writes, for every type, random units (NAME.bin) and the values that the Python package `gguf`
decodes from them (NAME.f32, little-endian floats). Units are random bytes except for their
scales, which are finite halves.

    pip install gguf numpy
    python3 tests/golden/gen/ggml_types.py tests/golden/ggml_types
"""
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

UNITS_OF_256 = 4
UNITS_OF_32 = 16

# Where the half-precision scales of a unit begin, in bytes.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ1_S: [0], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0],
    T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
    T.IQ1_M: [], T.MXFP4: [], T.BF16: [],
}


def random_halves(rng, count):
    return (rng.standard_normal(count) * 2.0 ** rng.integers(-12, 4, count)).astype(np.float16)


def spread_iq1_m_scale(units, halves):
    """IQ1_M keeps the four nibbles of its half on top of its four 16-bit scale words."""
    bits = halves.view(np.uint16)
    for word in range(4):
        nibble = ((bits >> np.uint16(4 * word)) & 15).astype(np.uint8)
        top = 48 + 2 * word + 1
        units[:, top] = (units[:, top] & 0x0F) | (nibble << 4)


def make_units(rng, kind):
    unit_size, unit_bytes = GGML_QUANT_SIZES[kind]
    count = UNITS_OF_256 if unit_size == 256 else UNITS_OF_32 if unit_size == 32 else 64
    units = rng.integers(0, 256, (count, unit_bytes), dtype=np.uint8)
    for offset in HALVES[kind]:
        units[:, offset:offset + 2] = random_halves(rng, count).view(np.uint8).reshape(count, 2)
    if kind == T.IQ1_M:
        spread_iq1_m_scale(units, random_halves(rng, count))
    if kind == T.MXFP4:
        units[:, 0] = rng.integers(0, 250, count)  # exponents whose values stay finite
        units[:3, 0] = [0, 1, 2]                   # the subnormal end
    if kind == T.BF16:
        units[:, 1] = (units[:, 1] & 0x8F) | 0x30  # exponents in the middle
    return units


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index, kind in enumerate(sorted(HALVES, key=lambda k: k.value)):
        units = make_units(np.random.default_rng(1000 + index), kind)
        values = dequantize(units.reshape(-1), kind).astype("<f4")
        assert np.isfinite(values).all(), kind
        (folder / f"{kind.name}.bin").write_bytes(units.tobytes())
        (folder / f"{kind.name}.f32").write_bytes(values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
