"""The list of the oracle's cases: which model, which adapter, which loss.
Their values are computed and written by make_fixtures.py.
"""

from dataclasses import dataclass, field

from peft import LoraConfig, TaskType


@dataclass
class Case:
    name: str
    model: str
    batch: str
    mode: str  # "lora" or "full"
    task: str = "sequence-classification"
    lora: dict | None = None
    zero_b: bool = False  # as PEFT initialises it; otherwise B is random
    loss_options: dict = field(default_factory=dict)
    curve: bool = False

    @property
    def family(self):
        return self.model.split("-")[0]

    def lora_config(self):
        task_type = {
            "sequence-classification": TaskType.SEQ_CLS,
            "multi-label-classification": TaskType.SEQ_CLS,
            "regression": TaskType.SEQ_CLS,
            "token-classification": TaskType.TOKEN_CLS,
        }[self.task]
        return LoraConfig(task_type=task_type, lora_dropout=0.0, **self.lora)


# name -> (seed, family, task)
BATCHES = {
    "roberta-seqcls": (101, "roberta", "sequence-classification"),
    "roberta-regression": (102, "roberta", "regression"),
    "roberta-tokencls": (103, "roberta", "token-classification"),
    "roberta-mlm": (104, "roberta", "masked-lm"),
    "bert-seqcls": (105, "bert", "sequence-classification"),
    "roberta-multilabel": (106, "roberta", "multi-label-classification"),
}

ALL_LINEAR = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
QUERY_VALUE = {"r": 2, "lora_alpha": 8, "target_modules": ["query", "value"]}
WEIGHTS = [0.5, 1.0, 2.0]


def seqcls(name, **changes):
    return Case(**({"name": name, "model": "roberta-seqcls", "batch": "roberta-seqcls", "mode": "lora"} | changes))


CASES = [
    seqcls("roberta-seqcls-lora", lora=ALL_LINEAR),
    seqcls("roberta-seqcls-lora-fresh", lora=ALL_LINEAR, zero_b=True),
    seqcls("roberta-seqcls-lora-rslora", lora=QUERY_VALUE | {"r": 8, "use_rslora": True}),
    seqcls("roberta-seqcls-lora-bias-all", lora=QUERY_VALUE | {"bias": "all"}),
    seqcls("roberta-seqcls-lora-bias-lora-only", lora=QUERY_VALUE | {"bias": "lora_only"}),
    seqcls(
        "roberta-seqcls-lora-patterns",
        lora={
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["query", "key", "intermediate.dense"],
            "rank_pattern": {"layer.0.attention.self.query": 2},
            "alpha_pattern": {"layer.1.intermediate.dense": 16},
        },
    ),
    seqcls("roberta-seqcls-label-smoothing", lora=QUERY_VALUE, loss_options={"labelSmoothing": 0.1}),
    seqcls("roberta-seqcls-class-weights", lora=QUERY_VALUE, loss_options={"classWeights": WEIGHTS}),
    seqcls(
        "roberta-seqcls-smoothing-and-weights",
        lora=QUERY_VALUE,
        loss_options={"labelSmoothing": 0.1, "classWeights": WEIGHTS},
    ),
    seqcls("roberta-seqcls-full", mode="full"),
    seqcls("roberta-regression-full", model="roberta-regression", batch="roberta-regression", task="regression", mode="full"),
    seqcls("roberta-multilabel-lora", batch="roberta-multilabel", task="multi-label-classification", lora=QUERY_VALUE),
    seqcls("roberta-gelu-new-full", model="roberta-gelu-new", mode="full"),
    seqcls("roberta-relu-full", model="roberta-relu", mode="full"),
    seqcls(
        "roberta-tokencls-full",
        model="roberta-tokencls",
        batch="roberta-tokencls",
        task="token-classification",
        mode="full",
    ),
    seqcls(
        "roberta-tokencls-lora-smoothing",
        model="roberta-tokencls",
        batch="roberta-tokencls",
        task="token-classification",
        lora=QUERY_VALUE,
        loss_options={"labelSmoothing": 0.1, "classWeights": [0.5, 1.0, 2.0, 1.5, 0.25]},
    ),
    seqcls("roberta-mlm-full", model="roberta-mlm", batch="roberta-mlm", task="masked-lm", mode="full"),
    seqcls("bert-seqcls-lora", model="bert-seqcls", batch="bert-seqcls", lora=QUERY_VALUE),
    seqcls("bert-seqcls-lora-all-linear", model="bert-seqcls", batch="bert-seqcls", lora=ALL_LINEAR),
    seqcls("bert-seqcls-full", model="bert-seqcls", batch="bert-seqcls", mode="full"),
    seqcls("roberta-seqcls-lora-curve", lora=ALL_LINEAR, zero_b=True, curve=True),
    seqcls("roberta-seqcls-full-curve", mode="full", curve=True),
]
