"""One Linear layer in PyTorch, PEFT, oneDNN, MKL and OpenBLAS: what bench:linear takes turns with.
Our side: lib/linear_ops.ts.

oneDNN comes with PyTorch (weights packed once, as inference engines hold them), OpenBLAS with
numpy. In int8 it is PyTorch's dynamic linear on oneDNN: x to unsigned bytes with one scale for all
of it, in the time; weights by output channel, before. In bf16 layers run under autocast, as PEFT's
users run them, and products take and give bf16; numpy's OpenBLAS has no such product.
"""

import contextlib
import importlib.metadata
import os
import time

import numpy as np
import torch

from serve import serve


class Layer(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.dense = torch.nn.Linear(inputs, outputs)
        self.requires_grad_(False)

    def forward(self, x):
        return self.dense(x)


def with_adapter(layer, rank, scaling):
    """PEFT's own LoRA layer, with a B that is not zero."""
    # Takes seconds, and products do not need it.
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(layer, LoraConfig(r=rank, lora_alpha=rank * scaling, target_modules=["dense"]))
    a, b = [p for p in model.parameters() if p.requires_grad]
    torch.nn.init.uniform_(b, -0.5, 0.5)
    return model, a, b


def int8_product(x, weight):
    torch.backends.quantized.engine = "onednn"
    scales = weight.abs().amax(1) / 127
    codes = torch.quantize_per_channel(weight, scales.double(), torch.zeros(len(weight), dtype=torch.int64), 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(codes, None)

    def product():
        return torch.ops.quantized.linear_dynamic(x, packed, reduce_range=False)

    with torch.inference_mode():
        exact = torch.nn.functional.linear(x, weight)
        assert (product() - exact).norm() < 0.03 * exact.norm(), "oneDNN's int8 gives another product"
    return product


class State:
    """The layer and the operands of one shape."""

    def prepare(self, tokens, inputs, outputs, rank, scaling, compile=False, precision="fp32"):
        self.bf16 = precision == "bf16"
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        self.x = torch.rand(tokens, inputs).sub_(0.5).requires_grad_(True)
        self.dy = torch.rand(tokens, outputs).sub_(0.5).to(dtype)
        self.modules = {"base": Layer(inputs, outputs)}
        if rank:
            self.modules["peft"] = with_adapter(Layer(inputs, outputs), rank, scaling)[0]
        if compile:
            self.modules["compiled"] = torch.compile(self.modules["peft"])
        x, weight = self.x.detach().to(dtype), self.modules["base"].dense.weight.detach().to(dtype)
        if precision == "int8":
            self.products = {"onednn": int8_product(x, weight)}
            return
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, tokens)
        self.products = {
            "onednn": lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""),
            "torch": lambda: torch.nn.functional.linear(x, weight),
        }
        if not self.bf16:
            a, w, y = x.numpy(), weight.numpy(), np.empty((tokens, outputs), np.float32)
            self.products["openblas"] = lambda: np.matmul(a, w.T, out=y)

    def precision(self):
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def product(self, name):
        with torch.inference_mode():
            started = time.perf_counter()
            self.products[name]()
            return time.perf_counter() - started

    def layer(self, name):
        """Forward, then backward to x, A and B (to x alone without an adapter)."""
        module = self.modules[name]
        self.x.grad = None
        for parameter in module.parameters():
            parameter.grad = None
        started = time.perf_counter()
        with self.precision():
            y = module(self.x)
        middle = time.perf_counter()
        y.backward(self.dy)
        return {"forward": middle - started, "backward": time.perf_counter() - middle}


def check(x, weight, bias, a, b, dy, scaling):
    """Result and gradients for given values: they must be fused-lora's."""
    tensor = lambda values: torch.tensor(values, dtype=torch.float32)  # noqa: E731
    layer = Layer(len(weight[0]), len(weight))
    layer.dense.weight.copy_(tensor(weight))
    layer.dense.bias.copy_(tensor(bias))
    model, model_a, model_b = with_adapter(layer, len(a), scaling)
    with torch.no_grad():
        model_a.copy_(tensor(a))
        model_b.copy_(tensor(b))
    inputs = tensor(x).requires_grad_(True)
    y = model(inputs)
    y.backward(tensor(dy))
    results = {"y": y, "dx": inputs.grad, "dA": model_a.grad, "dB": model_b.grad}
    products = {}
    state = State()
    state.prepare(len(x), len(x[0]), len(weight), 0, scaling)
    for name, product in state.products.items():
        with torch.inference_mode():
            products[name] = np.array(product())
    for name, product in products.items():
        assert np.allclose(product, products["torch"], atol=1e-4), f"{name} gives another product"
    return {name: value.detach().flatten().tolist() for name, value in results.items()}


def set_threads(count):
    torch.set_num_threads(count)


def info():
    return {p: importlib.metadata.version(p) for p in ("torch", "peft", "numpy")} | {
        "threads": torch.get_num_threads(),
        "openblasThreads": os.environ.get("OPENBLAS_NUM_THREADS", "default"),
    }


state = State()
serve(
    {
        "info": info,
        "threads": set_threads,
        "check": check,
        "prepare": state.prepare,
        "product": state.product,
        "layer": state.layer,
    }
)
