"""Reference values for the audio front end, from librosa.

    python scripts/reference/audio.py golden tests/golden/audio/librosa.json
    python scripts/reference/audio.py live REQUESTS.json FOLDER

`golden` writes small values for generated signals; the Rust test makes the same signals from the same integers. `live` reads
real files: a request is {"path", "sample_rate", "start", "duration", "cut", "recipe"}; for request i it writes FOLDER/i.samples
(the window of librosa.load's result, or with cut "before-resampling" what librosa.load(offset, duration) gives) and
FOLDER/i.mel ([n_mels, frames]), both raw 32-bit floats.
"""

import json
import sys
import warnings

import librosa
import numpy as np

RECIPES = {
    "deam": dict(sample_rate=44100, n_fft=2048, hop_length=512, n_mels=128, fmax=8000.0),
    "music2emotion": dict(sample_rate=22050, n_fft=2048, hop_length=512, n_mels=64),
    "meld": dict(sample_rate=16000, n_fft=2048, hop_length=512, n_mels=128),
    "htk": dict(sample_rate=16000, n_fft=512, hop_length=160, win_length=400, window="hamming", n_mels=40, fmin=50.0,
                fmax=7600.0, mel_scale="htk", mel_norm="none", power=1, pad_mode="reflect",
                scale=dict(kind="db", reference="one", top_db=0.0, amin=1e-5)),
    "uncentred": dict(sample_rate=22050, n_fft=1024, hop_length=256, window="blackman", n_mels=32, center=False,
                      scale=dict(kind="log", offset=1e-6)),
    "power": dict(sample_rate=8000, n_fft=256, hop_length=100, win_length=201, window="boxcar", n_mels=20,
                  scale=dict(kind="power")),
    "mixed": dict(sample_rate=48000, n_fft=1200, hop_length=480, win_length=960, window="hamming", n_mels=64, fmin=20.0,
                  fmax=16000.0, mel_scale="htk", pad_mode="reflect",
                  scale=dict(kind="db", reference="one", top_db=60.0, amin=1e-6)),
    "unnormalised": dict(sample_rate=44100, n_fft=4096, hop_length=1024, n_mels=96, mel_norm="none",
                         scale=dict(kind="db", reference="max", top_db=0.0, amin=1e-3)),
}
# Of the recipes above, with these settings of librosa.feature.mfcc.
MFCC = [
    dict(recipe="meld", n_mfcc=20, norm="ortho", lifter=0),
    dict(recipe="meld", n_mfcc=13, norm="ortho", lifter=22),
    dict(recipe="htk", n_mfcc=40, norm="none", lifter=0),
]
DELTA = [dict(width=9, order=1), dict(width=5, order=1), dict(width=9, order=2), dict(width=7, order=3)]
RMS = [
    dict(frame_length=2048, hop_length=512, center=True, pad_mode="constant"),
    dict(frame_length=2048, hop_length=512, center=True, pad_mode="reflect"),
    dict(frame_length=401, hop_length=160, center=True, pad_mode="constant"),
    dict(frame_length=400, hop_length=160, center=False, pad_mode="constant"),
]
DB = dict(kind="db", reference="max", top_db=80.0, amin=1e-10)


def signal(samples, seed):
    """A rising triangle wave and noise, loud and quiet by turns: integers, so that any language makes the same."""
    state, phase, step = seed, 0, 1 << 24
    out = np.empty(samples, dtype=np.float32)
    for i in range(samples):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        step = (step + 100_000) & 0xFFFFFFFF
        phase = (phase + step) & 0xFFFFFFFF
        triangle = (phase >> 15) & 0x1FFFF
        triangle = (triangle if triangle < 0x10000 else 0x1FFFF - triangle) - 32768
        noise = ((state >> 16) & 0xFFFF) - 32768
        shift = (i >> 11) % 4 * 3
        out[i] = ((3 * triangle + noise) >> shift) / 131072.0
    return out


def spectrogram(y, recipe):
    r = RECIPES[recipe]
    mel = librosa.feature.melspectrogram(
        y=y, sr=r["sample_rate"], n_fft=r["n_fft"], hop_length=r["hop_length"], win_length=r.get("win_length"),
        window=r.get("window", "hann"), center=r.get("center", True), pad_mode=r.get("pad_mode", "constant"),
        power=float(r.get("power", 2)), n_mels=r["n_mels"], fmin=r.get("fmin", 0.0), fmax=r.get("fmax"),
        htk=r.get("mel_scale") == "htk", norm=None if r.get("mel_norm") == "none" else "slaney")
    scale = r.get("scale", DB)
    if scale["kind"] == "power":
        return mel
    if scale["kind"] == "log":
        return np.log(mel + np.float32(scale["offset"]))
    ref = np.max if scale["reference"] == "max" else 1.0
    to_db = librosa.power_to_db if r.get("power", 2) == 2 else librosa.amplitude_to_db
    return to_db(mel, ref=ref, amin=scale["amin"], top_db=scale["top_db"] or None)


def golden(path):
    rounded = lambda array: [float(f"{value:.9g}") for value in np.asarray(array, dtype=np.float64).ravel()]
    cases = []
    for recipe, settings in RECIPES.items():
        y = signal(12_345, 1)
        mel = spectrogram(y, recipe)
        columns = sorted({0, mel.shape[1] // 2, mel.shape[1] - 1})
        cases.append(dict(recipe=recipe, settings=settings, seed=1, samples=len(y), frames=mel.shape[1],
                          minimum=float(mel.min()), mean=float(mel.mean(dtype=np.float64)), maximum=float(mel.max()),
                          columns=columns, values=[rounded(mel[:, c]) for c in columns]))
    resampled = []
    for source, target in [(44100, 22050), (22050, 44100), (48000, 16000), (44100, 16000), (16000, 22050), (44100, 48000)]:
        y = librosa.resample(signal(6000, 2), orig_sr=source, target_sr=target)
        at = [0, 500, len(y) // 2, len(y) - 40]
        resampled.append(dict(source=source, target=target, seed=2, samples=6000, length=len(y), at=at,
                              values=[rounded(y[i:i + 40]) for i in at]))
    y = signal(12_345, 1)
    cepstra = []
    for case in MFCC:
        m = librosa.feature.mfcc(S=spectrogram(y, case["recipe"]), dct_type=2, n_mfcc=case["n_mfcc"], lifter=case["lifter"],
                                 norm=None if case["norm"] == "none" else case["norm"])
        columns = sorted({0, m.shape[1] // 2, m.shape[1] - 1})
        cepstra.append(dict(case, columns=columns, values=[rounded(m[:, c]) for c in columns]))
    # Of the first coefficients of the first case, at their first, middle and last frames.
    m = librosa.feature.mfcc(S=spectrogram(y, "meld"), n_mfcc=20)
    deltas = []
    for case in DELTA:
        d = librosa.feature.delta(m, width=case["width"], order=case["order"], mode="interp")
        columns = [0, 1, 4, d.shape[1] // 2, d.shape[1] - 2, d.shape[1] - 1]
        deltas.append(dict(case, columns=columns, values=[rounded(d[:, c]) for c in columns]))
    loudness = [dict(case, values=rounded(librosa.feature.rms(y=y, **case)[0])) for case in RMS]
    with open(path, "w") as file:
        json.dump(dict(librosa=librosa.__version__, cases=cases, resampled=resampled, mfcc=cepstra, delta=deltas,
                       rms=loudness), file)
        file.write("\n")


def live(requests, folder):
    warnings.filterwarnings("ignore")
    with open(requests) as file:
        requests = json.load(file)
    for i, r in enumerate(requests):
        if r["cut"] == "before-resampling":
            y, rate = librosa.load(r["path"], sr=r["sample_rate"], offset=r["start"], duration=r["duration"])
        else:
            y, rate = librosa.load(r["path"], sr=r["sample_rate"])
            start = int(np.round(r["start"] * rate))
            y = y[start:start + int(np.round(r["duration"] * rate))]
        y.astype("<f4").tofile(f"{folder}/{i}.samples")
        spectrogram(y, r["recipe"]).astype("<f4").tofile(f"{folder}/{i}.mel")


if __name__ == "__main__":
    {"golden": golden, "live": live}[sys.argv[1]](*sys.argv[2:])
