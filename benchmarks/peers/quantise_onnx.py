"""Quantises an exported classifier to int8 as onnxruntime's users do.
Called by lib/onnx.ts; the export is export_onnx.py.

    python quantise_onnx.py ONNX_FOLDER OUTPUT_FOLDER full|reduce
"""

import pathlib
import shutil
import sys

from onnxruntime.quantization import QuantType, quantize_dynamic

source, target = map(pathlib.Path, sys.argv[1:3])
(target / "onnx").mkdir(parents=True, exist_ok=True)
shutil.copy(source / "config.json", target)
quantize_dynamic(
    source / "onnx" / "model.onnx",
    target / "onnx" / "model.onnx",
    weight_type=QuantType.QInt8,
    per_channel=True,
    reduce_range=sys.argv[3] == "reduce",
)
