"""How fast, and how near: `affect features` beside librosa, on one corpus, in turn.

    python scripts/compare_librosa.py --affect target/release/affect --corpus CORPUS [--processes 2] [--rounds 3] [--out FILE.md]

CORPUS is what scripts/reference/make_audio_corpus.py made. For each recipe the programs run one after the other, round after
round: affect with a fresh cache and so many threads; librosa in a pool of as many processes, with one BLAS thread each (its best),
the same decoding only what is needed, and with BLAS's default threads (as people run it). Both write every array to disk. The
time of affect is that of the whole process, from its start to its end; librosa's begins when every worker has loaded librosa and
has done one file, and so leaves out about five seconds. Every file is read once before the clock starts, so that none of them pays for a
cold disk, and each round begins with another of them. The table has the median over the rounds, and the least and the greatest ratio of
a round.

Then the stages, in milliseconds of one thread a file: affect's own count, and librosa's steps one by one in one process. Then the
differences of the decibels, before each example is normalised.

Needs the packages of scripts/reference/requirements.txt, and ffmpeg for the MP4 clips.
"""

import argparse
import csv
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

RECIPES = {
    "R1 deam-dynamic, MP3": dict(preset="deam-dynamic", table="song_clips.csv", task='targets = ["valence", "arousal"]',
                                 windows='start = "start"\nend = "end"', rate=44100, n_mels=128, fmax=8000.0, what="songs"),
    "R2 music2emotion, MP3": dict(preset="music2emotion", table="songs.csv", task='targets = ["valence", "arousal"]',
                                  windows="", rate=22050, n_mels=64, fmax=None, duration=30.0, normalize="standard", what="songs"),
    "R3 meld-128, MP4": dict(preset="meld-128", table="clips.csv", task='label = "emotion"', windows="", rate=16000, n_mels=128,
                             fmax=None, duration=3.0, normalize="min-max", frames=128, what="clips"),
    "R3 meld-128, WAV": dict(preset="meld-128", table="wavs.csv", task='label = "emotion"', windows="", rate=16000, n_mels=128,
                             fmax=None, duration=3.0, normalize="min-max", frames=128, what="wavs"),
}
N_FFT, HOP = 2048, 512

# --- librosa ---------------------------------------------------------------------------------------------------------------


def decibels(y, recipe):
    import librosa
    import numpy as np

    mel = librosa.feature.melspectrogram(y=y, sr=recipe["rate"], n_fft=N_FFT, hop_length=HOP, n_mels=recipe["n_mels"],
                                         fmax=recipe["fmax"])
    return librosa.power_to_db(mel, ref=np.max)


def finish(db, recipe):
    """What the seeds do after the decibels."""
    import numpy as np

    if recipe.get("normalize") == "standard":
        deviation = db.std()
        db = (db - db.mean()) / (deviation if deviation > 0 else 1)
    if recipe.get("normalize") == "min-max":
        width = db.max() - db.min()
        db = (db - db.min()) / (width if width > 0 else 1)
    if "frames" in recipe:
        missing = recipe["frames"] - db.shape[1]
        db = np.pad(db, ((0, 0), (0, missing))) if missing > 0 else db[:, : recipe["frames"]]
    return db.astype("float32")


def windows(path, recipe, only_needed, load):
    """The samples of each example of a file."""
    import numpy as np

    rate = recipe["rate"]
    if recipe["preset"] == "deam-dynamic":
        y = load(path, rate, 15.0, 30.0) if only_needed else load(path, rate, 0.0, None)[15 * rate:]
        return [y[5 * j * rate: 5 * (j + 1) * rate] for j in range(6)]
    # MELD's own code asks for three seconds; Music2Emotion's decodes everything, and then cuts.
    needed = recipe["duration"] if only_needed or recipe["preset"] == "meld-128" else None
    y = load(path, rate, 0.0, needed)[: int(recipe["duration"] * rate)]
    if recipe["preset"] == "music2emotion":
        y = np.pad(y, (0, int(recipe["duration"] * rate) - len(y)))
    return [y]


def load(path, rate, offset, duration):
    import librosa

    return librosa.load(path, sr=rate, offset=offset, duration=duration)[0]


def one_file(job):
    import numpy as np

    path, recipe, only_needed, folder = job
    warnings.filterwarnings("ignore")
    for j, y in enumerate(windows(path, recipe, only_needed, load)):
        np.save(f"{folder}/song_{pathlib.Path(path).stem}_seg_{j}.npy", finish(decibels(y, recipe), recipe))


def librosa_worker(request):
    """In a process of its own, so that BLAS reads its environment: seconds for all files."""
    recipe, paths, processes, only_needed = request["recipe"], request["paths"], request["processes"], request["only_needed"]
    with tempfile.TemporaryDirectory(dir=request["scratch"]) as folder:
        jobs = [(path, recipe, only_needed, folder) for path in paths]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(one_file, [jobs[0]] * processes, chunksize=1)
            started = time.perf_counter()
            for _ in pool.imap_unordered(one_file, jobs, chunksize=1):
                pass
            return time.perf_counter() - started


def librosa_seconds(recipe, paths, arguments, only_needed, blas_threads):
    environment = dict(os.environ)
    for name in ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]:
        environment.pop(name, None)
        if blas_threads:
            environment[name] = str(blas_threads)
    request = dict(recipe=recipe, paths=paths, processes=arguments.processes, only_needed=only_needed, scratch=arguments.scratch)
    done = subprocess.run([sys.executable, __file__, "--worker"], input=json.dumps(request), env=environment,
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def librosa_stages(recipe, paths):
    """Milliseconds a file of each step, by the functions that librosa.load and librosa.feature.melspectrogram call."""
    import librosa
    import numpy as np

    spent = dict.fromkeys(["decode", "mono", "resample", "STFT", "mel", "dB and scale", "write"], 0.0)

    def timed(stage, work):
        started = time.perf_counter()
        result = work()
        spent[stage] += time.perf_counter() - started
        return result

    def staged_load(path, rate, offset, duration):
        y, native = timed("decode", lambda: librosa.load(path, sr=None, mono=False, offset=offset, duration=duration))
        y = timed("mono", lambda: librosa.to_mono(y))
        return timed("resample", lambda: librosa.resample(y, orig_sr=native, target_sr=rate))

    filters = librosa.filters.mel(sr=recipe["rate"], n_fft=N_FFT, n_mels=recipe["n_mels"], fmax=recipe["fmax"])
    with tempfile.TemporaryDirectory() as folder:
        for warm, some in [(True, paths[:1]), (False, paths)]:
            spent.update(dict.fromkeys(spent, 0.0))
            for path in some:
                for y in windows(path, recipe, True, staged_load):
                    power = timed("STFT", lambda: np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP)) ** 2)
                    mel = timed("mel", lambda: np.einsum("...ft,mf->...mt", power, filters, optimize=True))
                    done = timed("dB and scale", lambda: finish(librosa.power_to_db(mel, ref=np.max), recipe))
                    timed("write", lambda: np.save(f"{folder}/x.npy", done))
    return {stage: 1000 * seconds / len(paths) for stage, seconds in spent.items()}


# --- affect ----------------------------------------------------------------------------------------------------------------


def experiment(recipe, corpus, folder, extra=""):
    path = pathlib.Path(folder) / "experiment.toml"
    # The corpus has no repeated songs in its whole-song tables; the split does not matter here.
    path.write_text(f"""[dataset]
kind = "table"
root = {json.dumps(str(corpus.resolve()))}
file = "{recipe['table']}"
audio = "file"
{recipe['task']}
{recipe['windows']}
[dataset.split]
kind = "random"
fractions = [0.6, 0.2, 0.2]
[features]
preset = "{recipe['preset']}"
{extra}
[[model.layers]]
adaptive_avg_pool2d = 1
[[model.layers]]
linear = "targets"
[loss]
kind = "{'cross-entropy' if 'label' in recipe['task'] else 'mse'}"
[optimizer]
kind = "adam"
learning_rate = 1e-3
""")
    return path


def affect_run(recipe, arguments, extra="", export=None):
    """Seconds of the whole process, and what it says."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        command = [str(arguments.affect.resolve()), "features", str(experiment(recipe, arguments.corpus, folder, extra)), "--json",
                   "--cache", f"{folder}/cache", "--threads", str(arguments.processes)]
        if export:
            command += ["--export", "song-seg", export]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return seconds, json.loads(done.stdout)


def affect_stages(recipe, arguments, paths):
    _, said = affect_run(recipe, arguments)
    return {stage: 1000 * seconds / len(paths) for stage, seconds in said["seconds"].items()}


# --- both ------------------------------------------------------------------------------------------------------------------


def parity(recipe, arguments, paths):
    """Largest and mean difference in dB over all files that librosa reads whole, and the file with the largest."""
    import numpy as np

    with open(arguments.corpus / "odd.csv", newline="") as file:
        odd = {str(arguments.corpus / row["file"]) for row in csv.DictReader(file)}
    paths = [path for path in paths if path not in odd]

    plain = dict(recipe)
    for key in ["normalize", "frames"]:
        plain.pop(key, None)
    frames = "" if "frames" not in recipe else 'frames = 94'
    plain.update({"frames": 94} if "frames" in recipe else {})
    worst, total, count = (0.0, ""), 0.0, 0
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        affect_run(recipe, arguments, f'normalize = "none"\n{frames}', export=folder)
        for path in paths:
            for j, y in enumerate(windows(path, recipe, False, load)):
                ours = np.load(f"{folder}/song_{pathlib.Path(path).stem}_seg_{j}.npy")
                theirs = finish(decibels(y, recipe), plain)
                if ours.shape != theirs.shape:
                    worst = (float("inf"), f"{path}: {ours.shape} against {theirs.shape}")
                    continue
                difference = np.abs(ours - theirs)
                worst = max(worst, (float(difference.max()), path))
                total, count = total + float(difference.sum(dtype="float64")), count + difference.size
    return worst[0], total / max(count, 1), worst[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--affect", type=pathlib.Path, required=True)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--processes", type=int, default=2, help="of librosa, and threads of affect")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), help="beginnings of names")
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="where arrays are written")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    speed = ["| recipe | files | affect | librosa, BLAS 1 | ratio | only what is needed | ratio | as people run it | ratio |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    stages, near = [], ["| recipe | largest, dB | mean, dB | file of the largest |", "| --- | --- | --- | --- |"]
    for name, recipe in RECIPES.items():
        if not any(name.startswith(wanted) for wanted in arguments.recipes):
            continue
        with open(arguments.corpus / recipe["table"], newline="") as file:
            names = dict.fromkeys(row["file"] for row in csv.DictReader(file))
        paths = [str(arguments.corpus / path) for path in names]
        runs = {"affect": lambda: affect_run(recipe, arguments)[0]}
        for label, needed, blas in [("best", False, 1), ("needed", True, 1), ("people", False, None)]:
            runs[label] = lambda needed=needed, blas=blas: librosa_seconds(recipe, paths, arguments, needed, blas)
        seconds = {label: [] for label in runs}
        for path in paths:
            pathlib.Path(path).read_bytes()
        for round_ in range(arguments.rounds):
            first = round_ % len(runs)
            for label in [*list(runs)[first:], *list(runs)[:first]]:
                seconds[label].append(runs[label]())
                print(f"{name}, round {round_ + 1}: {label} {len(paths) / seconds[label][-1]:.1f} files a second", file=sys.stderr)
        rate = {label: len(paths) / statistics.median(values) for label, values in seconds.items()}
        ratios = []
        for label in ["best", "needed", "people"]:
            rounds = [theirs / ours for theirs, ours in zip(seconds[label], seconds["affect"], strict=True)]
            ratios.append(f"{rate[label]:.1f} | {rate['affect'] / rate[label]:.2f}× ({min(rounds):.2f}–{max(rounds):.2f})")
        speed.append(f"| {name} | {len(paths)} | {rate['affect']:.1f} | {' | '.join(ratios)} |")
        for program, of in [("affect", affect_stages(recipe, arguments, paths)), ("librosa", librosa_stages(recipe, paths))]:
            stages.append(f"- {name}, {program}: " + ", ".join(f"{stage} {value:.2f}" for stage, value in of.items()))
        largest, mean, path = parity(recipe, arguments, paths)
        near.append(f"| {name} | {largest:.4f} | {mean:.6f} | {pathlib.Path(path).name} |")
    text = "\n".join([
        f"Files a second, {arguments.processes} threads or processes, median of {arguments.rounds} rounds in turn:", "", *speed, "",
        "Milliseconds of one thread a file (librosa decoding only what is needed):", "", *stages, "",
        "Differences of the decibels, decoding and resampling included, without the songs of odd.csv:", "", *near, ""])
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        print(json.dumps(librosa_worker(json.load(sys.stdin))))
    else:
        main()
