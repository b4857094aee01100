"""Lists of MELD's utterances as other pipelines keep them: tests/golden/dataset/.

text_emotion.*.pkl has the structure of the file of that name that comes with MELD's baseline: a list of three dictionaries
(train, val, test), dialogue id to an array with a row per utterance, here with three columns. The dictionaries are not in the
order of their keys, one key is a text, and one array has more rows than its dialogue has utterances.
"""

import pickle
from pathlib import Path

import numpy as np

folder = Path(__file__).resolve().parents[2] / "tests" / "golden" / "dataset"
folder.mkdir(parents=True, exist_ok=True)


def rows(count, kind="f4"):
    return np.arange(3 * count, dtype=kind).reshape(count, 3)


data = [
    {1: rows(2), 0: rows(3), "4": rows(1, "f8")},
    {0: rows(6), 1: rows(2, "f8")},
    {1: rows(2), 0: rows(2)},
]
for protocol in range(6):
    (folder / f"text_emotion.{protocol}.pkl").write_bytes(pickle.dumps(data, protocol=protocol))
# As the old name of NumPy's modules has it: files of NumPy 1.
old = pickle.dumps(data, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
(folder / "text_emotion.numpy1.pkl").write_bytes(old)
np.save(folder / "ids.npy", np.array(["train/dia1_utt0", "train/dia0_utt2", "dev/dia0_utt1", "test/dia1_utt1"]))
np.save(folder / "pairs.npy", np.array([[1, 0], [0, 2]]))
