"""cuBLASLt's bare product with bias, by ctypes: the library
that PyTorch brings along, opened at run time.
Timed beside PyTorch's layers by torch_gpu_linear.py.

Numbers of enumerators are those of cublasLt.h (CUDA 12 and 13).
"""

import ctypes
import glob
import os
import sys

import torch

CUDA_TYPES = {torch.float32: 0, torch.bfloat16: 14}
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77
OP_TRANSPOSE = 1
DESC_TRANSA, DESC_EPILOGUE, DESC_BIAS_POINTER = 3, 7, 8
EPILOGUE_BIAS = 4
PREFERENCE_MAX_WORKSPACE = 1
WORKSPACE = 64 << 20
MOST_ALGORITHMS = 32


class Algorithm(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t"""

    _fields_ = [
        ("algo", ctypes.c_uint64 * 8),
        ("workspace_size", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    ]


def open_library():
    names = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]
    for folder in sys.path:
        names += sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so*")), reverse=True)
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise RuntimeError("libcublasLt was not found")


def check(status, what):
    if status != 0:
        raise RuntimeError(f"{what}: cuBLASLt status {status}")


class CublasLt:
    def __init__(self):
        self.library = open_library()
        self.handle = ctypes.c_void_p()
        check(self.library.cublasLtCreate(ctypes.byref(self.handle)), "cublasLtCreate")
        self.library.cublasLtGetVersion.restype = ctypes.c_size_t
        self.workspace = torch.empty(WORKSPACE, dtype=torch.uint8, device="cuda")

    def version(self):
        return int(self.library.cublasLtGetVersion())

    def linear(self, x, weight, bias, tf32=False):
        """A function that computes y = x weight^T + bias, with the
        fastest of the algorithms that cuBLASLt proposes, and y.

        Row-major y [T, N] is column-major [N, T] = (weight,
        [K, N] column-major)^T times (x, [K, T] column-major).
        """
        tokens, inputs = x.shape
        outputs = weight.shape[0]
        library, dtype = self.library, CUDA_TYPES[x.dtype]
        y = torch.empty(tokens, outputs, dtype=x.dtype, device="cuda")

        desc = ctypes.c_void_p()
        compute = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
        check(library.cublasLtMatmulDescCreate(ctypes.byref(desc), compute, CUDA_TYPES[torch.float32]), "desc")

        def set_attribute(attribute, value):
            check(library.cublasLtMatmulDescSetAttribute(desc, attribute, ctypes.byref(value), ctypes.sizeof(value)), "attribute")

        set_attribute(DESC_TRANSA, ctypes.c_int(OP_TRANSPOSE))
        set_attribute(DESC_EPILOGUE, ctypes.c_int(EPILOGUE_BIAS))
        set_attribute(DESC_BIAS_POINTER, ctypes.c_void_p(bias.data_ptr()))

        def layout(rows, cols):
            made = ctypes.c_void_p()
            size = ctypes.c_uint64
            check(
                library.cublasLtMatrixLayoutCreate(ctypes.byref(made), dtype, size(rows), size(cols), ctypes.c_int64(rows)),
                "layout",
            )
            return made

        a, b, d = layout(inputs, outputs), layout(inputs, tokens), layout(outputs, tokens)
        preference = ctypes.c_void_p()
        check(library.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)), "preference")
        most = ctypes.c_size_t(WORKSPACE)
        check(
            library.cublasLtMatmulPreferenceSetAttribute(
                preference, PREFERENCE_MAX_WORKSPACE, ctypes.byref(most), ctypes.c_size_t(ctypes.sizeof(most))
            ),
            "preference",
        )
        found = (Algorithm * MOST_ALGORITHMS)()
        count = ctypes.c_int()
        check(
            library.cublasLtMatmulAlgoGetHeuristic(
                self.handle, desc, a, b, d, d, preference, MOST_ALGORITHMS, found, ctypes.byref(count)
            ),
            "heuristic",
        )
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        pointer = lambda tensor: ctypes.c_void_p(tensor.data_ptr())  # noqa: E731

        def run(algorithm):
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            check(
                library.cublasLtMatmul(
                    self.handle, desc, ctypes.byref(one), pointer(weight), a, pointer(x), b, ctypes.byref(zero),
                    pointer(y), d, pointer(y), d, ctypes.byref(algorithm.algo), pointer(self.workspace),
                    ctypes.c_size_t(WORKSPACE), stream,
                ),
                "cublasLtMatmul",
            )  # fmt: skip

        best, fastest = None, float("inf")
        for algorithm in found[: count.value]:
            if algorithm.state != 0:
                continue
            seconds = min(timed(lambda a=algorithm: run(a)) for _ in range(5))
            if seconds < fastest:
                best, fastest = algorithm, seconds
        if best is None:
            raise RuntimeError("cuBLASLt proposes no algorithm")
        return lambda: run(best), y


def timed(work):
    """Seconds between two events around `work`."""
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1000
