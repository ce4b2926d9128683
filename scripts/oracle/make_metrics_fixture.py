"""Writes test/fixtures/metrics: random labels and predictions
with what seqeval and scikit-learn compute from them.
Ours: src/metrics.

    pip install -r scripts/oracle/requirements.txt seqeval==1.2.2 scikit-learn==1.9.1
    python scripts/oracle/make_metrics_fixture.py --out test/fixtures/metrics

entities.json: { madeBy, versions, cases: [{ expected, predicted, entities, precision, recall, f1 }]
}. `expected` and `predicted` are lists of sentences of tags, `entities` the chunks
[type, start, end] of each predicted sentence (the end is the last word).

multilabel.json: { madeBy, versions, cases: [{ labels, predicted, microF1, macroF1, exactMatch }] };
0 and 1 by example and label.
"""

import argparse
import importlib.metadata
import json
import pathlib
import random
import warnings

import numpy as np
import seqeval.metrics
from seqeval.metrics.sequence_labeling import get_entities
from sklearn.metrics import accuracy_score, f1_score

TAGS = {
    "IOB": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "IOBES": ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-a-b", "I-a-b", "E-a-b", "S-a-b"],
}


def sentences(rng, tags):
    """Expected tags, and predictions that differ from them
    here and there; neither need be well formed.
    """
    expected = [rng.choices(tags, k=rng.randrange(0, 12)) for _ in range(rng.randrange(1, 6))]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in expected]
    return expected, predicted


def entity_case(expected, predicted):
    case = {"expected": expected, "predicted": predicted, "entities": [get_entities(tags) for tags in predicted]}
    for name in ("precision", "recall", "f1"):
        case[name] = float(getattr(seqeval.metrics, f"{name}_score")(expected, predicted))
    return case


def multi_label_case(rng, examples, labels):
    rate = rng.uniform(0.05, 0.6)
    truth = np.array([[int(rng.random() < rate) for _ in range(labels)] for _ in range(examples)])
    predicted = np.array([[value if rng.random() < 0.8 else 1 - value for value in row] for row in truth.tolist()])
    case = {"labels": truth.tolist(), "predicted": predicted.tolist()}
    for average in ("micro", "macro"):
        case[f"{average}F1"] = float(f1_score(truth, predicted, average=average, zero_division=0))
    return case | {"exactMatch": float(accuracy_score(truth, predicted))}


def write(path, packages, cases):
    versions = {name: importlib.metadata.version(name) for name in packages}
    head = {"madeBy": "scripts/oracle/make_metrics_fixture.py", "versions": versions}
    path.write_text(json.dumps(head | {"cases": cases}, separators=(",", ":")) + "\n")
    print(path.name, path.stat().st_size, "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = pathlib.Path(parser.parse_args().out)
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    rng = random.Random(7)
    entities = [entity_case(*sentences(rng, tags)) for tags in TAGS.values() for _ in range(30)]
    entities += [entity_case([["O", "B-PER"]], [["O", "O"]]), entity_case([["O"]], [["O"]])]
    write(out / "entities.json", ("seqeval",), entities)
    multi = [multi_label_case(rng, rng.randrange(1, 20), rng.randrange(2, 7)) for _ in range(20)]
    write(out / "multilabel.json", ("scikit-learn",), multi)


if __name__ == "__main__":
    main()
