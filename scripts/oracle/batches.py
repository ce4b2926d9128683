"""Ragged batches: stored packed (token ids end to end and cuSeqlens), padded here for torch.
The cases that use them: cases.py.
"""

import numpy as np
import torch

IGNORE = -100
PAD = {"roberta": 1, "bert": 0}


def token_rows(rng, family, sequences=8):
    """Sequences of 3..17 tokens with begin and end tokens;
    the padding id occurs nowhere. Lengths 3 and 17 occur.
    """
    lengths = rng.integers(3, 18, size=sequences)
    lengths[:2] = [17, 3]
    rng.shuffle(lengths)
    begin, end = (0, 2) if family == "roberta" else (2, 3)
    return [[begin, *rng.integers(4, 99, size=n - 2).tolist(), end] for n in lengths]


def class_label(row):
    """A label that 100 steps can learn: short, middle or long sequence."""
    return (len(row) - 3) // 5


def make_batch(seed, family="roberta", task="sequence-classification"):
    rng = np.random.default_rng(seed)
    rows = token_rows(rng, family)
    batch = {
        "inputIds": [token for row in rows for token in row],
        "cuSeqlens": np.cumsum([0] + [len(row) for row in rows]).tolist(),
        "tokenTypeIds": None,
    }
    if family == "bert":
        # The second part of each sequence has type 1, from a random token on.
        starts = [int(rng.integers(1, len(row))) for row in rows]
        batch["tokenTypeIds"] = [int(i >= start) for row, start in zip(rows, starts) for i in range(len(row))]
    if task == "sequence-classification":
        batch["labels"] = [class_label(row) for row in rows]
    elif task == "multi-label-classification":
        batch["labels"] = rng.integers(0, 2, size=(len(rows), 3)).tolist()
    elif task == "regression":
        batch["labels"] = [round(float(x), 3) for x in rng.normal(size=len(rows))]
    elif task == "token-classification":
        # Begin and end tokens and a few inner ones carry no label.
        batch["labels"] = [
            IGNORE if i in (0, len(row) - 1) or rng.random() < 0.2 else token % 5
            for row in rows
            for i, token in enumerate(row)
        ]
    elif task == "masked-lm":
        labels = []
        for index, token in enumerate(batch["inputIds"]):
            chosen = token >= 4 and rng.random() < 0.3
            labels.append(token if chosen else IGNORE)
            if chosen and rng.random() < 0.8:
                batch["inputIds"][index] = 99
        batch["labels"] = labels
    else:
        raise ValueError(task)
    return batch


def padded(batch, family):
    """torch inputs [S, longest] and the index that packs [S, longest, ...] to [T, ...]."""
    offsets = batch["cuSeqlens"]
    lengths = [b - a for a, b in zip(offsets, offsets[1:])]
    shape = (len(lengths), max(lengths))
    inputs = {
        "input_ids": torch.full(shape, PAD[family], dtype=torch.long),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
    }
    if batch["tokenTypeIds"] is not None:
        inputs["token_type_ids"] = torch.zeros(shape, dtype=torch.long)
    for s, (start, stop) in enumerate(zip(offsets, offsets[1:])):
        inputs["input_ids"][s, : stop - start] = torch.tensor(batch["inputIds"][start:stop])
        inputs["attention_mask"][s, : stop - start] = 1
        if batch["tokenTypeIds"] is not None:
            inputs["token_type_ids"][s, : stop - start] = torch.tensor(batch["tokenTypeIds"][start:stop])
    return inputs, inputs["attention_mask"].bool()
