"""Predictions for a folder of recordings beside librosa and onnxruntime: files a second.

    cargo build --release
    python scripts/compare_predict.py --affect target/release/affect --run RUN --audio FOLDER... [--runs DIR] [--threads 2] [--rounds 5]

affect is the whole command, `affect predict RUN FOLDER --csv`, from its start to its end; and the same with the exported model in place of the
run. The peer is a pool of as many processes, each with librosa and one onnxruntime session of one thread, already started and warm: decode,
resample, mel, decibels, the exported model (features in). `cold` is the peer as a program of its own, with its imports. In every round each works
once, the order rotated. The predictions are compared before.

Understands recipes in decibels below the maximum with a fixed duration. Needs the packages of scripts/reference/requirements.txt.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import csv
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

EXTENSIONS = {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".mp4"}


def start(model):
    global librosa, np, session, recipe
    import librosa
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    recipe = json.loads(session.get_modelmeta().custom_metadata_map["affect.recipe"])
    mel = recipe["mel"]
    assert mel["scale"]["kind"] == "db" and mel["scale"]["reference"] == "max" and mel["window"] == "hann", mel


def predict(path):
    mel = recipe["mel"]
    length = recipe["length"].get("exact")
    samples, _ = librosa.load(path, sr=mel["sample_rate"], duration=length / mel["sample_rate"])
    samples = librosa.util.fix_length(samples, size=length)
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=mel["sample_rate"],
        n_fft=mel["n_fft"],
        hop_length=mel["hop_length"],
        n_mels=mel["n_mels"],
        fmin=mel["fmin"],
        fmax=mel.get("fmax"),
        pad_mode="constant",
    )
    features = librosa.power_to_db(power, ref=np.max, top_db=mel["scale"]["top_db"])
    if mel["normalize"] == "standard":
        features = (features - features.mean()) / features.std()
    elif mel["normalize"] == "min-max":
        features = (features - features.min()) / (features.max() - features.min())
    features = features.astype(np.float32)[None, None]
    return session.run(None, {"features": features})[0][0].tolist()


def affect(command, threads):
    begun = time.perf_counter()
    done = subprocess.run([*command, "--csv", "--threads", str(threads)], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    rows = list(csv.reader(done.stdout.splitlines()))
    first = 4 if rows[0][3] == "predicted" else 3
    return seconds, {row[0]: [float(value) for value in row[first:]] for row in rows[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--affect", default="target/release/affect")
    parser.add_argument("--run", required=True)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--audio", nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", metavar="MODEL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    files = [
        str(path)
        for word in args.audio
        for path in ([pathlib.Path(word)] if pathlib.Path(word).is_file() else sorted(pathlib.Path(word).rglob("*")))
        if path.suffix.lower() in EXTENSIONS
    ]
    if args.cold:
        with multiprocessing.Pool(args.threads, start, (args.cold,)) as pool:
            pool.map(predict, files, chunksize=4)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = f"{folder}/model.onnx"
        subprocess.run([args.affect, "export", args.run, "--runs", args.runs, "--onnx", model], check=True, stdout=subprocess.DEVNULL)
        ours = [args.affect, "predict", args.run, *args.audio, "--runs", args.runs]
        by_model = [args.affect, "predict", model, *args.audio]
        cold = [sys.executable, __file__, "--run", args.run, "--cold", model, "--threads", str(args.threads), "--audio", *args.audio]
        with multiprocessing.Pool(args.threads, start, (model,)) as pool:

            def peer():
                begun = time.perf_counter()
                outputs = pool.map(predict, files, chunksize=4)
                return time.perf_counter() - begun, dict(zip(files, outputs))

            def whole():
                begun = time.perf_counter()
                subprocess.run(cold, check=True)
                return time.perf_counter() - begun, None

            work = {
                "affect, run": lambda: affect(ours, args.threads),
                "affect, ONNX": lambda: affect(by_model, args.threads),
                "librosa and onnxruntime, warm": peer,
                "the same, cold": whole,
            }
            found = {name: run()[1] for name, run in list(work.items())[:3]}
            wanted = found["librosa and onnxruntime, warm"]
            for name in list(work)[:2]:
                assert found[name].keys() == wanted.keys(), (len(found[name]), len(wanted))
                apart = max(abs(a - b) for path in wanted for a, b in zip(found[name][path], wanted[path]))
                print(f"{name}: {len(wanted)} predictions, {apart:.1e} from the peer's at most")
            seconds = {name: [] for name in work}
            for round in range(args.rounds):
                names = list(work)
                for name in names[round % len(names) :] + names[: round % len(names)]:
                    seconds[name].append(work[name]()[0])
    ours = seconds["affect, run"]
    print("| | s | files a second | affect (run) is faster by |\n| --- | --- | --- | --- |")
    for name, times in seconds.items():
        median = statistics.median(times)
        ratios = [other / own for other, own in zip(times, ours)]
        print(f"| {name} | {median:.2f} | {len(files) / median:.1f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
