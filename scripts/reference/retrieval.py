"""NDCG of scikit-learn, recall and rank by their definitions, for tests/evaluate_sklearn.rs.

    python scripts/reference/retrieval.py > tests/golden/evaluate/retrieval.json

Made with scikit-learn 1.9.1. Ties: scikit-learn takes the mean gain of the tied; for recall and rank the mean over many random orders would
be needed, so those are given for untied cases only.
"""

import json

import numpy as np
from sklearn.metrics import ndcg_score

RELEVANT = 0.5


def case(name, predicted, known):
    gains = np.zeros(len(predicted))
    for candidate, score in known:
        gains[candidate] = score
    want = {"ndcg": float(ndcg_score([gains], [predicted]))}
    if len(set(predicted)) == len(predicted):
        order = np.argsort(-np.array(predicted))
        ranks = [rank + 1 for rank, candidate in enumerate(order) if gains[candidate] >= RELEVANT]
        if ranks:
            want["mean-rank"] = min(ranks)
            for depth in [1, 5, 10]:
                want[f"recall@{depth}"] = float(min(ranks) <= depth)
    return {"name": name, "predicted": predicted, "known": known, "want": want}


def draw(random, candidates, scored, decimals):
    predicted = [float(np.float32(value)) for value in np.round(random.normal(size=candidates), decimals)]
    chosen = random.choice(candidates, scored, replace=False)
    known = [[int(candidate), float(np.float32(random.uniform()))] for candidate in chosen]
    return predicted, known


random = np.random.default_rng(1)
cases = []
for candidates, scored, decimals in [(5, 3, 6), (12, 4, 6), (40, 7, 6), (200, 20, 6), (30, 30, 6), (30, 6, 1), (60, 9, 0), (8, 2, 0)]:
    for number in range(3):
        cases.append(case(f"{scored} of {candidates}, {decimals} decimals, {number}", *draw(random, candidates, scored, decimals)))
cases.append(case("all the same", [0.5] * 10, [[0, 1.0], [3, 0.25]]))
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
