"""A corpus of encoded sound for tests and timings, made by ffmpeg: any number of files, the same for the same arguments.

    python scripts/reference/make_audio_corpus.py OUT [--songs 60] [--clips 100] [--wavs 1000] [--no-bad] [--jobs 2]

OUT/songs/N.mp3    45 s of stereo: CBR of 128 to 320 kbit/s and VBR in turn; every fifth with ID3 tags and a cover picture, every
                   seventh mono, every ninth at 48 kHz, every eleventh without a LAME header
OUT/clips/N.mp4    2 to 8 s of video (H.264 where ffmpeg has it) with AAC: stereo, every fourth with 5.1 channels
OUT/wavs/N.wav     2 to 5 s, 16 kHz, mono, 16 bit
OUT/odd.csv        songs of variable bit rate without a header: libsndfile, which librosa reads them with, guesses their length
                   and loses seconds of sound
OUT/bad/           what a corpus may hold by accident; bad.csv says of each file what it is and whether it has sound
OUT/songs.csv, song_clips.csv (six clips of 5 s from 15 s on), clips.csv, wavs.csv: tables for `[dataset] kind = "table"`, with
random targets.

Needs Python 3.9 and ffmpeg; no packages. What is there already is not made again.
"""

import argparse
import concurrent.futures
import csv
import pathlib
import random
import struct
import subprocess

SONG_SECONDS = 45
CODINGS = [["-b:a", "128k"], ["-b:a", "192k"], ["-q:a", "2"], ["-b:a", "320k"], ["-q:a", "5"], ["-b:a", "256k"]]
EMOTIONS = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]


def ffmpeg(*arguments):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def has_encoder(name):
    return name in subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True).stdout


def music(seed, seconds, rate, channels):
    """The arguments for an input that loads an encoder as music does: chords with a beat, and noise under them."""
    draw = random.Random(seed)
    graph = []
    for side in range(channels):
        root = 110 * 2 ** (draw.randrange(24) / 12)
        labels = []
        for i, ratio in enumerate((1, 1.25, 1.5, 2, 3)):
            labels.append(f"[s{side}n{i}]")
            graph.append(f"sine=frequency={root * ratio:.2f}:beep_factor={2 + i}:sample_rate={rate}:duration={seconds}"
                         f",tremolo=f={draw.uniform(0.5, 6):.2f}:d=0.7,volume={2.5 / (i + 1):.2f}{labels[-1]}")
        labels.append(f"[s{side}noise]")
        graph.append(f"anoisesrc=color=pink:sample_rate={rate}:amplitude=0.6:duration={seconds}:seed={seed * 10 + side}"
                     f",tremolo=f={draw.uniform(1, 4):.2f}:d=0.9{labels[-1]}")
        graph.append(f"{''.join(labels)}amix=inputs={len(labels)}:normalize=0,volume=0.35,aformat=channel_layouts=mono[c{side}]")
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    sides = "".join(f"[c{side}]" for side in range(channels))
    graph.append(f"{sides}join=inputs={channels}:channel_layout={layout}[out0]" if channels > 1 else "[c0]anull[out0]")
    return ["-f", "lavfi", "-i", ";".join(graph)]


def song(path, number):
    rate = 48000 if number % 9 == 8 else 44100
    channels = 1 if number % 7 == 6 else 2
    arguments = music(number, SONG_SECONDS, rate, channels)
    codec = ["-c:a", "libmp3lame"]
    codec += CODINGS[number % 6]
    tags = ["-map", "0:a", "-metadata", f"title=Song {number}", "-metadata", "artist=Nobody", "-id3v2_version", "3"]
    if number % 5 == 4:
        arguments += ["-i", path.parent.parent / "cover.jpg"]
        tags += ["-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic", "-metadata:s:v", "comment=Cover (front)"]
    if number % 11 == 10:
        tags += ["-write_xing", "0"]
    ffmpeg(*arguments, *codec, *tags, path)


def clip(path, number, video):
    seconds = 2 + 6 * random.Random(1000 + number).random()
    channels = 6 if number % 4 == 3 else 2
    arguments = music(1000 + number, round(seconds, 3), 44100 if number % 3 else 48000, channels)
    ffmpeg(*arguments, "-f", "lavfi", "-t", round(seconds, 3), "-i", "testsrc2=s=640x360:r=24",
           "-map", "1:v", "-map", "0:a", "-c:v", video, "-b:v", "500k", "-pix_fmt", "yuv420p",
           "-c:a", "aac", "-b:a", "128k" if channels == 2 else "256k", path)


def wav(path, number):
    seconds = 2 + 3 * random.Random(2000 + number).random()
    ffmpeg(*music(2000 + number, round(seconds, 3), 16000, 1), "-c:a", "pcm_s16le", path)


def bad_files(folder, video):
    """(name, what it is, what should happen): "sound", "damaged" (sound in part) or "error"."""
    source = folder / "source.mp3"
    ffmpeg(*music(1, 10, 44100, 2), "-c:a", "libmp3lame", "-b:a", "128k", source)
    sound = source.read_bytes()
    listed = []

    def raw(name, content, what, expected):
        (folder / name).write_bytes(content)
        listed.append((name, what, expected))

    def made(name, arguments, what, expected):
        ffmpeg(*arguments, folder / name)
        listed.append((name, what, expected))

    def header(tag, channels, rate, bits, size, extra=b""):
        align = channels * bits // 8
        body = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits) + extra
        return b"RIFF" + struct.pack("<I", min(size + 20 + len(body) + 8, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", len(body)) + body

    def floats(values):
        data = struct.pack(f"<{len(values)}f", *values)
        return header(3, 1, 16000, 32, len(data)) + b"data" + struct.pack("<I", len(data)) + data

    tone = [0.5 * ((i * 440 * 2 // 16000) % 2) - 0.25 for i in range(16000)]
    integers = struct.pack("<16000h", *(int(value * 32000) for value in tone))
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    raw("zero.mp3", b"", "zero bytes", "error")
    raw("text.mp3", b"This is no sound.\n" * 200, "text with the name of a song", "error")
    raw("noise.mp3", random.Random(7).randbytes(50_000), "random bytes", "error")
    raw("truncated.mp3", sound[: len(sound) * 6 // 10], "MP3 cut after 60%", "sound")
    raw("holes.mp3", sound[:60_000] + bytes(3_000) + sound[63_000:], "MP3 with zeros in the middle", "damaged")
    raw("tail.mp3", sound + b"TAG" + b"junk" * 100, "MP3 with rubbish behind it", "sound")
    raw("._5.mp3", bytes.fromhex("00051607") + bytes(4092), "AppleDouble: macOS's notes about a file", "error")
    raw("nan.wav", floats(tone[:8000] + [float("nan")] + tone), "WAV with a value that is no number", "error")
    raw("infinite.wav", floats(tone[:8000] + [float("inf")] + tone), "WAV with an infinite value", "error")
    raw("extensible.wav", header(0xFFFE, 1, 16000, 16, len(integers), struct.pack("<HHI", 22, 16, 4) + guid) + b"data"
        + struct.pack("<I", len(integers)) + integers, "WAVE_FORMAT_EXTENSIBLE", "sound")
    raw("unknown-size.wav", header(1, 1, 16000, 16, 0xFFFFFFFF) + b"data" + struct.pack("<I", 0xFFFFFFFF) + integers,
        "WAV whose sizes are not known (FFFFFFFF)", "sound")
    raw("silence.wav", header(1, 1, 16000, 16, 64000) + b"data" + struct.pack("<I", 64000) + bytes(64000), "silence", "sound")
    made("8k.wav", [*music(2, 5, 8000, 1), "-c:a", "pcm_s16le"], "8 kHz", "sound")
    made("96k.flac", [*music(3, 5, 96000, 2), "-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24"], "96 kHz, 24 bit", "sound")
    made("5.1.m4a", [*music(4, 5, 48000, 6), "-c:a", "aac", "-b:a", "256k"], "AAC with 5.1 channels", "sound")
    made("no-audio.mp4", ["-f", "lavfi", "-t", "2", "-i", "testsrc2=s=320x180:r=24", "-c:v", video, "-pix_fmt", "yuv420p"],
         "MP4 without sound", "error")
    clip(folder / "whole.mp4", 1, video)
    whole = (folder / "whole.mp4").read_bytes()
    (folder / "whole.mp4").unlink()
    raw("truncated.mp4", whole[: len(whole) // 2], "MP4 cut in the middle, its index lost", "error")
    made("short.wav", [*music(5, 0.2, 16000, 1), "-c:a", "pcm_s16le"], "a fifth of a second", "sound")
    source.unlink()
    with open(folder.parent / "bad.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "what", "expected"])
        writer.writerows((f"bad/{name}", what, expected) for name, what, expected in sorted(listed))


def tables(out, songs, clips, wavs):
    draw = random.Random(1)
    va = lambda: [round(draw.uniform(-1, 1), 3), round(draw.uniform(-1, 1), 3)]

    def table(name, columns, rows):
        with open(out / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)

    table("odd.csv", ["file"], ([f"songs/{n}.mp3"] for n in range(songs) if n % 11 == 10 and CODINGS[n % 6][0] == "-q:a"))
    table("songs.csv", ["file", "valence", "arousal"], ([f"songs/{n}.mp3", *va()] for n in range(songs)))
    table("song_clips.csv", ["file", "start", "end", "valence", "arousal"],
          ([f"songs/{n}.mp3", 15 + 5 * j, 20 + 5 * j, *va()] for n in range(songs) for j in range(6)))
    table("clips.csv", ["file", "emotion"], ([f"clips/{n}.mp4", EMOTIONS[n % 7]] for n in range(clips)))
    table("wavs.csv", ["file", "emotion"], ([f"wavs/{n}.wav", EMOTIONS[n % 7]] for n in range(wavs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--wavs", type=int, default=1000)
    parser.add_argument("--no-bad", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    out = arguments.out
    video = "libx264" if has_encoder("libx264") else "mpeg4"
    work = []
    for kind, count, make in [("songs", arguments.songs, song), ("clips", arguments.clips, lambda p, n: clip(p, n, video)),
                              ("wavs", arguments.wavs, wav)]:
        (out / kind).mkdir(parents=True, exist_ok=True)
        suffix = {"songs": "mp3", "clips": "mp4", "wavs": "wav"}[kind]
        for number in range(count):
            path = out / kind / f"{number}.{suffix}"
            if not path.exists():
                work.append((make, path, number))

    if not (out / "cover.jpg").exists():
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=600x600:r=1:d=1", "-frames:v", "1", out / "cover.jpg")

    def one(item):
        make, path, number = item
        half = path.with_name(f"half-{path.name}")  # a killed run leaves no file that looks whole
        make(half, number)
        half.rename(path)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, work))
    tables(out, arguments.songs, arguments.clips, arguments.wavs)
    if not arguments.no_bad:
        (out / "bad").mkdir(exist_ok=True)
        bad_files(out / "bad", video)
    print(f"{len(work)} files made in {out}")


if __name__ == "__main__":
    main()
