"""Reference values for `evaluate/paired/` from SciPy and statsmodels.

    python scripts/reference/paired.py golden > tests/golden/evaluate/paired.json
    python scripts/reference/paired.py answer < questions.json > answers.json

`golden` makes its own questions; `answer` takes them from tests/evaluate_paired.rs. Both write the same form: a list of cases,
each with its input and, under "want", the reference's figures.
"""

import json
import sys
import warnings

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests


def wilcoxon(case):
    """Without ties: both of SciPy's methods. With ties the exact distribution by going through all signs, as far as those can be counted."""
    values = np.array(case["values"])
    values = values[values != 0]
    tied = len(np.unique(np.abs(values))) < len(values)
    want = {"normal": stats.wilcoxon(values, method="asymptotic", correction=False).pvalue}
    if not tied and len(values) <= 50:
        want["exact"] = stats.wilcoxon(values, method="exact").pvalue
    elif len(values) <= 12:
        want["exact"] = stats.wilcoxon(values, method=stats.PermutationMethod(n_resamples=10_000)).pvalue
    ranks = stats.rankdata(np.abs(values))
    want["positive"], want["negative"] = ranks[values > 0].sum(), ranks[values < 0].sum()
    return want


def t_test(case):
    values = np.array(case["values"])
    test = stats.ttest_rel(values, np.zeros_like(values))
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return {"t": test.statistic, "p": test.pvalue, "low": low, "high": high, "deviation": values.std(ddof=1)}


def holm(case):
    return {"corrected": multipletests(case["values"], method="holm")[1].tolist()}


REFERENCES = {"wilcoxon": wilcoxon, "t_test": t_test, "holm": holm}


def answer(case):
    return case | {"want": REFERENCES[case["kind"]](case)}


def questions(random):
    def case(kind, name, values):
        return {"kind": kind, "name": name, "values": [float(value) for value in values]}

    for count in [2, 5, 6, 14, 30, 50, 51, 200]:
        yield case("wilcoxon", f"{count} values", random.normal(0.3, 1, count))
    yield case("wilcoxon", "all positive", random.uniform(0.1, 1, 10))
    yield case("wilcoxon", "far out", random.normal(2, 0.5, 60))
    yield case("wilcoxon", "ties", [1, -1, 2, 2, -3, 4, 4, 4])
    yield case("wilcoxon", "ties and zeros", [0, 1, 1, -1, 2, 0, 3, -3, 5])
    yield case("wilcoxon", "many ties", random.integers(-3, 5, 70))
    for count in [2, 3, 5, 10, 100]:
        yield case("t_test", f"{count} values", random.normal(0.2, 1, count))
    yield case("t_test", "far out", random.normal(50, 0.1, 12))
    yield case("t_test", "tiny", random.normal(0, 1e-12, 6))
    yield case("holm", "one", [0.03])
    yield case("holm", "ordered", [0.001, 0.01, 0.02, 0.04, 0.5])
    yield case("holm", "ties", [0.01, 0.01, 0.01, 0.9])
    yield case("holm", "random", random.uniform(0, 0.2, 12))


def main():
    warnings.simplefilter("ignore")
    cases = questions(np.random.default_rng(20261121)) if sys.argv[1:] == ["golden"] else json.load(sys.stdin)
    print("[")
    print(",\n".join(json.dumps(answer(case), default=float) for case in cases))
    print("]")


if __name__ == "__main__":
    main()
