"""A rank of PyTorch's DistributedDataParallel on gloo, with PEFT or full fine-tuning: the peer of
two of our ranks. Its batches are padded to the longest of each share.

Started twice by benchmarks/distributed.ts, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set;
the argument is a JSON file with folder, adapter, method, batches and warmup. Rank 0 prints the
seconds of a step, as a mean over the batches after the warm-up.
"""

import json
import sys
import time

import torch
import torch.distributed
import transformers
from peft import PeftModel
from torch.nn.parallel import DistributedDataParallel

transformers.logging.set_verbosity_error()

with open(sys.argv[1]) as file:
    told = json.load(file)
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()

model = transformers.AutoModelForSequenceClassification.from_pretrained(told["folder"], dtype=torch.float32)
pad = model.config.pad_token_id
if told["method"] == "lora":
    model = PeftModel.from_pretrained(model, told["adapter"], is_trainable=True)
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
# Gradients are not copied into buckets and back: the fastest of its settings here.
run = DistributedDataParallel(model, gradient_as_bucket_view=True)
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)


def share_of(batch):
    own = batch[rank::size]
    longest = max(len(sentence["ids"]) for sentence in own)
    ids = torch.full((len(own), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(own), longest), dtype=torch.long)
    for row, sentence in enumerate(own):
        ids[row, : len(sentence["ids"])] = torch.tensor(sentence["ids"])
        mask[row, : len(sentence["ids"])] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([s["label"] for s in own])}


batches = [share_of(batch) for batch in told["batches"]]
warmup = told["warmup"]
for index in range(warmup + len(batches)):
    if index == warmup:
        torch.distributed.barrier()
        started = time.perf_counter()
    loss = run(**batches[index % len(batches)]).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
torch.distributed.barrier()
if rank == 0:
    print(json.dumps({"secondsPerStep": (time.perf_counter() - started) / len(batches)}))
torch.distributed.destroy_process_group()
