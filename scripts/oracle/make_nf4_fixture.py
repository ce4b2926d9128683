"""Writes test/fixtures/oracle/nf4.json: weights in NF4 with double quantisation as bitsandbytes has
them on a CPU, and, with --tables, the tables of native/runtime/nf4_tables.cc.
Read by test/oracle/nf4.test.ts, which makes the same weights by the same formula.

    python scripts/oracle/make_nf4_fixture.py [--tables]
"""

import base64
import json
import pathlib
import sys

import bitsandbytes
import numpy as np
import torch
from bitsandbytes.functional import create_dynamic_map, dequantize_4bit, get_4bit_type, quantize_4bit

root = pathlib.Path(__file__).parents[2]
# More than 256 blocks of 64; a last block that is short, with an odd number of values.
SHAPES = [[144, 120], [7, 37], [3, 64], [96, 192]]


def weights(rows, cols):
    """Rows of very different size, one value of them all zero; every number is exact in fp32."""
    values = np.empty((rows, cols), dtype=np.float32)
    for n in range(rows):
        size = 2.0 ** (n % 5 - 4)
        for k in range(cols):
            values[n, k] = size * ((n * cols + k) * 7919 % 10007 - 5003) / 8192
    values[1] = 0
    return values


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def case(rows, cols):
    w = torch.from_numpy(weights(rows, cols))
    codes, state = quantize_4bit(w, blocksize=64, compress_statistics=True, quant_type="nf4")
    return {
        "rows": rows,
        "cols": cols,
        "codes": text(codes.numpy()),
        "scaleCodes": text(state.absmax.numpy()),
        "nested": text(state.state2.absmax.numpy()),
        "mean": float(state.offset),
        "first": text(dequantize_4bit(codes, state).numpy().reshape(-1)[:64]),
    }


def table(name, values):
    lines, line = [], "   "
    for value in values:
        word = f" {float(value).hex()}f,"
        if len(line) + len(word) > 118:
            lines.append(line)
            line = "   "
        line += word
    return f"const float {name}[{len(values)}] = {{\n" + "\n".join([*lines, line]) + "\n};\n"


if "--tables" in sys.argv:
    source = (
        f"// The values of codes and of scales' codes, of bitsandbytes {bitsandbytes.__version__}: written by\n"
        "// scripts/oracle/make_nf4_fixture.py --tables. What they are for: nf4.h.\n"
        '#include "runtime/nf4.h"\n\nnamespace fl::nf4 {\n\n'
        + table("kValues", get_4bit_type("nf4", device="cpu").tolist())
        + "\n"
        + table("kScaleValues", create_dynamic_map().tolist())
        + "\n}  // namespace fl::nf4\n"
    )
    (root / "native/runtime/nf4_tables.cc").write_text(source)
fixture = {
    "madeBy": f"scripts/oracle/make_nf4_fixture.py, bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}",
    "codeValues": text(get_4bit_type("nf4", device="cpu").numpy()),
    "scaleValues": text(create_dynamic_map().numpy()),
    "cases": [case(*shape) for shape in SHAPES],
}
(root / "test/fixtures/oracle/nf4.json").write_text(json.dumps(fixture, indent=1) + "\n")
