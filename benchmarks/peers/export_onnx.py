"""Exports a sequence classifier to ONNX, as the ONNX runtimes in Node take it.
Called by lib/onnx.ts.

    python export_onnx.py MODEL_FOLDER OUTPUT_FOLDER

The output folder is laid out as transformers.js expects: config.json and onnx/model.onnx.
"""

import pathlib
import shutil
import sys
import warnings

import torch
import transformers

transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


source, target = map(pathlib.Path, sys.argv[1:3])
model = transformers.AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32).eval()
ids = torch.randint(1000, 2000, (2, 16))
mask = torch.ones_like(ids)
mask[1, 10:] = 0
(target / "onnx").mkdir(parents=True, exist_ok=True)
shutil.copy(source / "config.json", target)
axes = {0: "batch", 1: "length"}
# The tracing exporter: what model hubs are filled with, and
# what onnxruntime ran faster than the result of the newer one.
torch.onnx.export(
    Logits(model),
    (ids, mask),
    target / "onnx" / "model.onnx",
    input_names=["input_ids", "attention_mask"],
    output_names=["logits"],
    dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
    opset_version=17,
    dynamo=False,
)
