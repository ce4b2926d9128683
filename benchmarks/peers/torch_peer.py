"""PyTorch, transformers and PEFT as a peer: training steps and predictions of whole models.
Single layers: torch_linear.py. GPUs: torch_gpu_step.py.

Started by the benchmarks, which take turns between it and
fused-lora; see lib/protocol.ts for the calls.
"""

import importlib.metadata
import platform
import time

import torch
import transformers
from peft import PeftModel

from serve import serve

transformers.logging.set_verbosity_error()


class Side:
    """One model with its optimizer and batches."""

    def load(self, folder, method, adapter=None, adapters=None, precision="fp32", compile=False, **_):
        started = time.perf_counter()
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
        self.pad = model.config.pad_token_id
        if method == "lora":
            model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        elif method == "head":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith("classifier."))
        elif adapters:
            (first, place), *others = adapters.items()
            model = PeftModel.from_pretrained(model, place, adapter_name=first)
            for name, place in others:
                model.load_adapter(place, adapter_name=name)
        self.model = model
        self.dropouts = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
        self.rates = [m.p for m in self.dropouts]
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = None
        self.bf16 = precision == "bf16"
        self.run = torch.compile(model) if compile else model
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "learnable": sum(p.numel() for p in self.trained),
            "seconds": time.perf_counter() - started,
        }

    def batches(self, batches):
        """Padded to the longest of each batch, with a mask: what a Trainer's collator makes."""
        self.data = []
        for batch in batches:
            longest = max(len(sentence["ids"]) for sentence in batch)
            ids = torch.full((len(batch), longest), self.pad, dtype=torch.long)
            mask = torch.zeros((len(batch), longest), dtype=torch.long)
            for row, sentence in enumerate(batch):
                ids[row, : len(sentence["ids"])] = torch.tensor(sentence["ids"])
                mask[row, : len(sentence["ids"])] = 1
            labels = torch.tensor([sentence["label"] for sentence in batch])
            self.data.append({"input_ids": ids, "attention_mask": mask, "labels": labels})

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16)

    def train(self, steps, dropout, learningRate, **_):
        self.model.train()
        for module, rate in zip(self.dropouts, self.rates):
            module.p = rate if dropout else 0.0
        if self.optimizer is None:
            # One fused kernel over all parameters: transformers'
            # default, and the fastest that PyTorch has on a CPU.
            self.optimizer = torch.optim.AdamW(self.trained, lr=learningRate, weight_decay=0.0, fused=True)
        losses = []
        started = time.perf_counter()
        for index in steps:
            with self.autocast():
                loss = self.run(**self.data[index]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
        return {"seconds": time.perf_counter() - started, "losses": losses}

    def predict(self, steps, adapterNames=None):
        """adapterNames: by batch, the adapter of each sentence (PEFT's adapter_names)."""
        self.model.eval()
        logits = []
        started = time.perf_counter()
        with torch.inference_mode(), self.autocast():
            for index in steps:
                batch = {k: v for k, v in self.data[index].items() if k != "labels"}
                if adapterNames:
                    batch["adapter_names"] = adapterNames[index]
                logits.append(self.run(**batch).logits.float().flatten().tolist())
        return {"seconds": time.perf_counter() - started, "logits": logits}


def info():
    packages = ("torch", "transformers", "peft", "numpy")
    return {p: importlib.metadata.version(p) for p in packages} | {
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cpuCapability": torch.backends.cpu.get_cpu_capability(),
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available(),
    }


side = Side()
serve(
    {
        "info": info,
        "threads": lambda count: torch.set_num_threads(count),
        "load": side.load,
        "batches": side.batches,
        "train": side.train,
        "predict": side.predict,
    }
)
