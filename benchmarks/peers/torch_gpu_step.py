"""Whole training steps on a GPU: HF Trainer + PEFT, and a plain loop with and without
torch.compile, in bf16 autocast with SDPA.
Our side: gpu/step.ts.

Compiled sides pad every batch to one length, so that nothing
is compiled again; the others to the longest of each batch.
"""

import copy
import importlib.metadata
import tempfile
import time

import torch
import transformers
from peft import PeftModel
from serve import serve

transformers.logging.set_verbosity_error()
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def synchronize():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Clock(transformers.TrainerCallback):
    """Seconds from the end of step `warmup` to the end of the last one."""

    def __init__(self, warmup):
        self.warmup = warmup
        self.seconds = 0.0

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.warmup:
            synchronize()
            self.started = time.perf_counter()
        if state.global_step == state.max_steps:
            synchronize()
            self.seconds = time.perf_counter() - self.started


class Side:
    def load(self, folder, method, adapter=None, precision="bf16", compile=None, how="train", **_):
        """compile: a mode of torch.compile, or nothing. how:
        what the side is for, "train" or "trainer".
        """
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        )
        self.pad = model.config.pad_token_id
        if method == "lora":
            model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        # The Trainer wraps what it gets: each run of it has a copy of its own.
        self.pristine = copy.deepcopy(model)
        # Nothing of a loop on the device where the Trainer's memory is measured.
        self.model = model.to(DEVICE if how == "train" else "cpu")
        self.bf16 = precision == "bf16"
        self.mode = compile
        self.run = torch.compile(self.model, mode=compile) if compile else self.model
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=5e-4, weight_decay=0.0, fused=True)
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "learnable": sum(p.numel() for p in self.trained),
        }

    def batches(self, batches):
        self.sentences = [sentence for batch in batches for sentence in batch]
        self.batch_size = len(batches[0])
        longest = max(len(sentence["ids"]) for sentence in self.sentences)
        self.data = [self.collate(batch, longest if self.mode else None) for batch in batches]
        if DEVICE == "cuda":
            self.data = [{k: v.pin_memory() for k, v in batch.items()} for batch in self.data]

    def collate(self, batch, length=None):
        length = length or max(len(sentence["ids"]) for sentence in batch)
        ids = torch.full((len(batch), length), self.pad, dtype=torch.long)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        for row, sentence in enumerate(batch):
            ids[row, : len(sentence["ids"])] = torch.tensor(sentence["ids"])
            mask[row, : len(sentence["ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([s["label"] for s in batch])}

    def train(self, steps, **_):
        """A plain loop over the batches; inputs come from pinned memory."""
        self.model.train()
        losses = []
        synchronize()
        started = time.perf_counter()
        for index in steps:
            batch = {k: v.to(DEVICE, non_blocking=True) for k, v in self.data[index].items()}
            with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=self.bf16):
                loss = self.run(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        synchronize()
        return {"seconds": time.perf_counter() - started, "losses": [float(loss) for loss in losses]}

    def trainer(self, steps, warmup):
        """transformers' Trainer with its defaults but for
        bf16: seconds of `steps` steps after `warmup`.
        """
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=self.batch_size,
                max_steps=warmup + steps,
                learning_rate=5e-4,
                bf16=self.bf16,
                use_cpu=DEVICE == "cpu",
                torch_compile=self.mode is not None,
                torch_compile_mode=self.mode,
                logging_strategy="no",
                save_strategy="no",
                remove_unused_columns=False,
                report_to=[],
                disable_tqdm=True,
            )
            clock = Clock(warmup)
            length = max(len(s["ids"]) for s in self.sentences) if self.mode else None
            trainer = transformers.Trainer(
                model=copy.deepcopy(self.pristine),
                args=arguments,
                train_dataset=self.sentences,
                data_collator=lambda batch: self.collate(batch, length),
                callbacks=[clock],
            )
            trainer.train()
        return {"seconds": clock.seconds}

    def memory(self):
        return {"peakBytes": torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None}


def info():
    packages = ("torch", "transformers", "peft", "accelerate")
    return {p: importlib.metadata.version(p) for p in packages} | {
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu",
        "cuda": torch.version.cuda,
    }


side = Side()
serve(
    {
        "info": info,
        "load": side.load,
        "batches": side.batches,
        "train": side.train,
        "trainer": side.trainer,
        "memory": side.memory,
    }
)
