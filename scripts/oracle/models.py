"""The small models of the oracle: transformers' classes with
weights large enough that every gradient matters.
Which of them a case takes: cases.py.
"""

import torch
import transformers
from transformers import BertConfig, RobertaConfig

transformers.logging.set_verbosity_error()

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
ROBERTA_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
BERT_IDS = {"pad_token_id": 0, "type_vocab_size": 2, "layer_norm_eps": 1e-12}


def roberta(**changes):
    return RobertaConfig(**(SIZES | ROBERTA_IDS | changes))


def bert(**changes):
    return BertConfig(**(SIZES | BERT_IDS | changes))


# folder name -> (transformers class, configuration, seed)
MODELS = {
    "roberta-seqcls": ("RobertaForSequenceClassification", roberta(num_labels=3), 11),
    "roberta-regression": ("RobertaForSequenceClassification", roberta(num_labels=1), 12),
    "roberta-tokencls": ("RobertaForTokenClassification", roberta(num_labels=5), 13),
    "roberta-mlm": ("RobertaForMaskedLM", roberta(), 14),
    "roberta-gelu-new": (
        "RobertaForSequenceClassification",
        roberta(num_labels=3, num_hidden_layers=1, hidden_act="gelu_new"),
        15,
    ),
    "roberta-relu": (
        "RobertaForSequenceClassification",
        roberta(num_labels=3, num_hidden_layers=1, hidden_act="relu"),
        16,
    ),
    "bert-seqcls": ("BertForSequenceClassification", bert(num_labels=3), 17),
}


def build(name):
    """Weights N(0, 0.2), biases N(0, 0.1), LayerNorm weights 1 + N(0, 0.1): transformers' own 0.02
    would leave attention uniform and many gradients near zero, which tests little.
    """
    class_name, config, seed = MODELS[name]
    torch.manual_seed(seed)
    config._attn_implementation = "eager"
    model = getattr(transformers, class_name)(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if parameter_name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                parameter.copy_(1 + 0.1 * values)
            else:
                parameter.copy_((0.1 if parameter_name.endswith("bias") else 0.2) * values)
    return model


def save(name, folder):
    build(name).save_pretrained(folder)


def load(name, folder):
    class_name, _, _ = MODELS[name]
    return getattr(transformers, class_name).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
