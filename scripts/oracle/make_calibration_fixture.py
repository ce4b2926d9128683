"""Writes test/fixtures/metrics/calibration.json: reliability by scikit-learn, a reference error of
calibration and a temperature by scipy. Ours: src/metrics/calibration.ts.

    pip install scikit-learn==1.9.1 scipy==1.17.1
    python scripts/oracle/make_calibration_fixture.py > test/fixtures/metrics/calibration.json

curves: [{ probabilities, outcomes, bins, strategy, observed, predicted, ece }], the error by its
definition over bins of (lo, hi]. temperatures: [{ logits, labels or targets, temperature, loss }].
"""

import importlib.metadata
import json
import sys

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.calibration import calibration_curve

rng = np.random.default_rng(11)


def expected_error(outcomes, probabilities, borders):
    """The sum over bins of their share times |accuracy - confidence|."""
    total = 0.0
    for k, (low, high) in enumerate(zip(borders[:-1], borders[1:])):
        inside = (probabilities > low) & (probabilities <= high)
        if k == 0:
            inside |= probabilities <= low
        if inside.any():
            total += inside.mean() * abs(outcomes[inside].mean() - probabilities[inside].mean())
    return float(total)


def curve(n, bins, strategy):
    probabilities = np.round(rng.beta(2, 1.2, n), 3)
    outcomes = rng.random(n) < probabilities**1.5
    observed, predicted = calibration_curve(outcomes, probabilities, n_bins=bins, strategy=strategy)
    shares = np.linspace(0, 1, bins + 1)
    borders = shares if strategy == "uniform" else np.percentile(probabilities, shares * 100)
    return {
        "probabilities": probabilities.tolist(),
        "outcomes": outcomes.tolist(),
        "bins": bins,
        "strategy": strategy,
        "observed": observed.tolist(),
        "predicted": predicted.tolist(),
        "ece": expected_error(outcomes.astype(float), probabilities, borders),
    }


def temperature(n, classes, scale, several):
    logits = np.round(rng.normal(0, scale, (n, classes)), 2).astype(np.float32).astype(float)
    if several:
        targets = (rng.random((n, classes)) < 1 / (1 + np.exp(-logits / 2))).astype(int)
        loss = lambda t: float(np.mean(np.logaddexp(0, logits / t) - targets * logits / t))
        right = {"targets": targets.tolist()}
    else:
        chances = np.exp(log_softmax(logits / 2.5, axis=1))
        labels = np.array([rng.choice(classes, p=p) for p in chances])
        loss = lambda t: float(-np.mean(log_softmax(logits / t, axis=1)[np.arange(n), labels]))
        right = {"labels": labels.tolist()}
    best = minimize_scalar(lambda x: loss(np.exp(x)), bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    t = float(np.exp(best.x))
    return {"logits": logits.tolist(), **right, "temperature": t, "loss": loss(t)}


versions = {name: importlib.metadata.version(name) for name in ("scikit-learn", "scipy", "numpy")}
curves = [curve(120, bins, strategy) for bins in (5, 10) for strategy in ("uniform", "quantile")]
temperatures = [temperature(60, 3, 4, False), temperature(60, 2, 1, False), temperature(40, 3, 3, True)]
json.dump({"madeBy": "scripts/oracle/make_calibration_fixture.py", "versions": versions, "curves": curves, "temperatures": temperatures}, sys.stdout)
