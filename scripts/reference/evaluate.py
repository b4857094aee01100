"""Reference values for `evaluate/` from scikit-learn and SciPy.

    python scripts/reference/evaluate.py golden > tests/golden/evaluate/cases.json
    python scripts/reference/evaluate.py answer < questions.json > answers.json

`golden` makes its own questions; `answer` takes them from tests/evaluate_sklearn.rs. Both write the same form: a list
of cases, each with its input and, under "want", the reference's figures. What is undefined is null.
"""

import json
import sys
import warnings

import numpy as np
from scipy.stats import pearsonr
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def regression(case):
    truth, predicted = np.array(case["truth"]), np.array(case["predicted"])
    spread = truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2
    covariance = ((truth - truth.mean()) * (predicted - predicted.mean())).mean()
    return {
        "mse": metrics.mean_squared_error(truth, predicted),
        "rmse": metrics.root_mean_squared_error(truth, predicted),
        "mae": metrics.mean_absolute_error(truth, predicted),
        "r2": metrics.r2_score(truth, predicted),
        "pearson": pearsonr(truth, predicted).statistic if len(truth) > 1 else float("nan"),
        # Lin 1989.
        "ccc": 2 * covariance / spread if spread > 0 else float("nan"),
    }


def classification(case):
    truth, predicted, labels = case["truth"], case["predicted"], range(case["classes"])
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    return {
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).ravel().tolist(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "uar": metrics.balanced_accuracy_score(truth, predicted),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
        "weighted_f1": metrics.f1_score(truth, predicted, average="weighted"),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
    }


def ridge(case):
    model = make_pipeline(StandardScaler(), Ridge(alpha=case["alpha"], solver="svd"))
    model.fit(np.array(case["x"]), np.array(case["y"]))
    return {"predicted": model.predict(np.array(case["new"])).tolist()}


def logistic(case):
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=case["c"],
            class_weight="balanced" if case["balanced"] else None,
            solver="newton-cg",
            tol=1e-12,
            max_iter=100_000,
        ),
    )
    model.fit(np.array(case["x"]), np.array(case["y"]))
    probabilities = np.zeros((len(case["new"]), case["classes"]))
    probabilities[:, model[-1].classes_] = model.predict_proba(np.array(case["new"]))
    return {"probabilities": probabilities.tolist()}


def pooling(case):
    features = np.array(case["features"]).reshape(case["shape"])
    return {"pooled": np.concatenate([features.mean(-1).ravel(), features.std(-1).ravel()]).tolist()}


def neighbours(case):
    """Regression with one target per column of y: for classes, y is one-hot and the means are the classifier's probabilities."""
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(n_neighbors=case["k"], algorithm="brute"))
    model.fit(np.array(case["x"]), np.array(case["y"]))
    return {"predicted": model.predict(np.array(case["new"])).tolist()}


REFERENCES = {
    "neighbours": neighbours,
    "regression": regression,
    "classification": classification,
    "ridge": ridge,
    "logistic": logistic,
    "pooling": pooling,
}


def answer(case):
    return case | {"want": REFERENCES[case["kind"]](case)}


def floats(values):
    """Rounded to float32, which is what the program is given."""
    return np.asarray(values, dtype=np.float32).astype(np.float64).tolist()


def questions(random):
    def pair(name, truth, predicted):
        return {"kind": "regression", "name": name, "truth": floats(truth), "predicted": floats(predicted)}

    truth = random.uniform(-1, 1, 50)
    yield pair("random", truth, 0.5 * truth + random.normal(0, 0.3, 50))
    yield pair("unrelated", truth, random.normal(0, 1, 50))
    yield pair("offset", truth + 1e4, truth + 1e4 + random.normal(0, 0.01, 50))
    yield pair("tiny", truth * 1e-20, random.normal(0, 1e-20, 50))
    yield pair("perfect", truth, truth)
    yield pair("opposite", truth, -truth)
    yield pair("constant truth", np.full(7, 0.1), random.normal(0, 1, 7))
    yield pair("constant truth, perfect", np.full(7, 0.5), np.full(7, 0.5))
    yield pair("constant prediction", truth, np.full(50, 0.25))
    yield pair("two constants", np.full(5, 1.0), np.full(5, 2.0))
    yield pair("ties", random.integers(1, 4, 40), random.integers(1, 4, 40))
    yield pair("one example", [0.5], [0.25])
    yield pair("two examples", [0.5, 0.75], [0.25, 0.125])

    def classes(name, count, truth, predicted):
        return {
            "kind": "classification",
            "name": name,
            "classes": count,
            "truth": [int(c) for c in truth],
            "predicted": [int(c) for c in predicted],
        }

    truth = random.integers(0, 7, 120)
    noisy = np.where(random.random(120) < 0.5, truth, random.integers(0, 7, 120))
    yield classes("random", 7, truth, noisy)
    yield classes("imbalanced", 4, random.choice(4, 90, p=[0.9, 0.05, 0.03, 0.02]), random.integers(0, 4, 90))
    yield classes("perfect", 7, truth, truth)
    yield classes("all wrong", 7, truth, (truth + 1) % 7)
    yield classes("majority", 3, [0, 0, 1, 2, 0], [0] * 5)
    yield classes("class absent from the truth", 4, [0, 1, 1, 0, 3], [0, 1, 2, 2, 3])
    yield classes("class that does not occur", 5, [0, 1, 1, 0, 3], [0, 1, 3, 0, 3])
    yield classes("one example", 2, [1], [1])
    yield classes("one example, wrong", 2, [1], [0])

    def features(rows, columns, rank=None):
        values = random.normal(0, 1, (rows, rank or columns))
        if rank:
            values = values @ random.normal(0, 1, (rank, columns))
        return np.round(values * random.uniform(0.1, 50, columns) + random.uniform(-90, 90, columns), 3)

    shapes = [("tall", 40, 6, None), ("wide", 12, 30, None), ("rank-deficient", 30, 12, 4), ("square", 15, 15, None)]
    for name, rows, columns, rank in shapes:
        both = features(rows + 8, columns, rank)
        if name == "tall":
            both[:, 2] = 0.1
        x, new = both[:rows], both[rows:]
        scaled = (x - x.mean(0)) / np.where(x.std(0) > 1e-9, x.std(0), 1)
        y = scaled[:, :2] @ [[1, 0.5], [0, 2]] + random.normal(0, 0.5, (rows, 2)) + [3, -1]
        for alpha in [1e-3, 1.0, 1e4]:
            yield {
                "kind": "ridge",
                "name": f"{name}, alpha {alpha}",
                "x": x.tolist(),
                "y": np.round(y, 4).tolist(),
                "new": new.tolist(),
                "alpha": alpha,
            }
        for labels, count in [(2, 2), (4, 5)]:
            order = np.argsort(np.argsort(scaled[:, 0] + random.normal(0, 1, rows)))
            label = order * labels // rows
            label = np.where(label == 1, count - 1, label)
            for c, balanced in [(1e-3, False), (1.0, False), (1.0, True), (1e3, False)]:
                yield {
                    "kind": "logistic",
                    "name": f"{name}, {labels} classes, C {c}, balanced {balanced}",
                    "x": x.tolist(),
                    "y": label.tolist(),
                    "new": new.tolist(),
                    "classes": count,
                    "c": c,
                    "balanced": balanced,
                }
    separated = np.round(np.concatenate([random.normal(-9, 1, (10, 3)), random.normal(9, 1, (10, 3))]), 3)
    yield {
        "kind": "logistic",
        "name": "separated",
        "x": separated.tolist(),
        "y": [0] * 10 + [1] * 10,
        "new": separated[::3].tolist(),
        "classes": 2,
        "c": 1e4,
        "balanced": False,
    }
    for shape in [(1, 4, 9), (2, 3, 5), (3, 1, 1)]:
        yield {
            "kind": "pooling",
            "name": f"{shape}",
            "shape": shape,
            "features": floats(np.round(random.normal(-40, 20, np.prod(shape)), 2)),
        }
    for name, rows, columns in [("tall", 60, 4), ("wide", 20, 50), ("few", 3, 2)]:
        for k in [1, 3, 15]:
            y = random.normal(0, 1, (rows, 2)) if k != 3 else np.eye(2)[random.integers(0, 2, rows)]
            yield {
                "kind": "neighbours",
                "name": f"{name}, k {k}",
                "x": features(rows, columns).tolist(),
                "y": np.round(y, 4).tolist(),
                "new": features(9, columns).tolist(),
                "k": min(k, rows),
            }


def without_nan(value):
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return value


def main():
    warnings.simplefilter("ignore")
    cases = questions(np.random.default_rng(20260101)) if sys.argv[1:] == ["golden"] else json.load(sys.stdin)
    print("[")
    print(",\n".join(json.dumps(without_nan(answer(case))) for case in cases))
    print("]")


if __name__ == "__main__":
    main()
