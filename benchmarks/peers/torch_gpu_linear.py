"""One Linear layer on a GPU: PyTorch, PEFT eager, PEFT with torch.compile, and cuBLASLt's bare
product; what bench:gpu takes turns with.
Our side: gpu/linear.ts.

Times are between CUDA events, the L2 cache flushed before
each; with launch gaps where the host is slower than the GPU.
"""

import importlib.metadata

import torch
from cublaslt import CublasLt, timed
from peft import LoraConfig, get_peft_model
from serve import serve

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
FLUSH_BYTES = 256 << 20


class Layer(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.dense = torch.nn.Linear(inputs, outputs)
        self.requires_grad_(False)

    def forward(self, x):
        return self.dense(x)


class State:
    """The layer and the operands of one shape."""

    def __init__(self):
        self.cublaslt = None
        self.flush = None

    def prepare(self, tokens, inputs, outputs, rank, scaling, precision, compile=False, tf32=False):
        dtype = DTYPES[precision]
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch._dynamo.reset()
        if self.flush is None:
            self.flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")
        base = Layer(inputs, outputs).to("cuda", dtype)
        # The adapter in the layer's own dtype: PEFT's default
        # keeps it in fp32 and casts x, which is slower.
        adapted = Layer(inputs, outputs).to("cuda", dtype)
        config = LoraConfig(r=rank, lora_alpha=rank * scaling, target_modules=["dense"])
        peft = get_peft_model(adapted, config, autocast_adapter_dtype=False).to("cuda", dtype)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.uniform_(parameter, -0.5, 0.5)
        self.x = torch.rand(tokens, inputs, device="cuda").sub_(0.5).to(dtype).requires_grad_(True)
        self.dy = torch.rand(tokens, outputs, device="cuda").sub_(0.5).to(dtype)
        self.modules = {"torch": base, "peft": peft}
        if compile:
            self.modules["compiled"] = torch.compile(peft, mode="max-autotune-no-cudagraphs")
        self.product = None
        error = None
        try:
            self.cublaslt = self.cublaslt or CublasLt()
            x, dense = self.x.detach(), base.dense
            self.product, y = self.cublaslt.linear(x, dense.weight, dense.bias, tf32)
            self.product()
            close = torch.allclose(y.float(), torch.nn.functional.linear(x, dense.weight, dense.bias).float(), atol=0.05, rtol=0.05)
            if not close:
                raise RuntimeError("cuBLASLt's product is not PyTorch's")
        except RuntimeError as found:
            self.product, error = None, str(found)
        return {"cublaslt": error}

    def product_time(self):
        if self.product is None:
            return None
        self.flush.zero_()
        return timed(self.product)

    def layer(self, name):
        """Forward, then backward to x, A and B (to x alone without an adapter)."""
        module = self.modules[name]
        self.x.grad = None
        for parameter in module.parameters():
            parameter.grad = None
        result = {}
        self.flush.zero_()

        def forward():
            result["y"] = module(self.x)

        seconds = {"forward": timed(forward)}
        self.flush.zero_()
        seconds["backward"] = timed(lambda: result["y"].backward(self.dy))
        return seconds


def info():
    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no GPU")
    found = {p: importlib.metadata.version(p) for p in ("torch", "peft")}
    found["cuda"] = torch.version.cuda
    found["gpu"] = torch.cuda.get_device_name()
    try:
        state.cublaslt = state.cublaslt or CublasLt()
        found["cublasLt"] = state.cublaslt.version()
    except RuntimeError as error:
        found["cublasLt"] = str(error)
    return found


state = State()
serve({"info": info, "prepare": state.prepare, "product": state.product_time, "layer": state.layer})
