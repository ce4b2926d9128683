"""Writes test/fixtures/oracle/quantised: a RoBERTa of one layer that transformers saved in 4 and 8
bits by bitsandbytes on a CPU, and the values that bitsandbytes gives back for its weights.
Read by test/oracle/quantised_checkpoints.test.ts.

    python scripts/oracle/make_quantised_fixture.py
"""

import base64
import json
import pathlib
import shutil
import tempfile

import bitsandbytes
import torch
import transformers
from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant
from transformers import BitsAndBytesConfig, RobertaConfig, RobertaForSequenceClassification

out = pathlib.Path(__file__).parents[2] / "test/fixtures/oracle/quantised"
# 24 x 20 is no multiple of a block of 64; more than 256 blocks of scales would take a larger model.
CONFIG = dict(
    vocab_size=12, hidden_size=20, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=10, type_vocab_size=1, pad_token_id=1, num_labels=2,
)
FORMS = {
    "nf4-doubled": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "nf4-bf16": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "int8": dict(load_in_8bit=True),
}


def values(module):
    weight = module.weight
    if hasattr(weight, "quant_state") and weight.quant_state is not None:
        return dequantize_4bit(weight.data, weight.quant_state)
    if weight.dtype == torch.int8:
        scales = weight.SCB if weight.SCB is not None else module.state.SCB
        return int8_vectorwise_dequant(weight.data, scales)
    return weight.data


def main():
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(0)
    expected = {"versions": {m.__name__: m.__version__ for m in (bitsandbytes, torch, transformers)}}
    with tempfile.TemporaryDirectory() as folder:
        RobertaForSequenceClassification(RobertaConfig(**CONFIG)).save_pretrained(folder)
        for name, form in FORMS.items():
            dtype = torch.bfloat16 if name.endswith("bf16") else torch.float32
            model = RobertaForSequenceClassification.from_pretrained(
                folder, quantization_config=BitsAndBytesConfig(**form), dtype=dtype
            )
            model.save_pretrained(out / name)
            expected[name] = {
                path + ".weight": base64.b64encode(values(module).float().contiguous().numpy().tobytes()).decode()
                for path, module in model.named_modules()
                if isinstance(module, (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt))
            }
            assert len(expected[name]) >= 6
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
