#!/bin/sh
# Writes the seed corpora to fuzz/corpus/TARGET, from generated sound; needs ffmpeg.
set -eu
cd "$(dirname "$0")"
mkdir -p corpus/decode_bytes corpus/wav_header corpus/mp4_header
make() { # NAME ARGUMENTS...
    name=$1
    shift
    ffmpeg -y -nostdin -v error -f lavfi -i "sine=frequency=440:duration=0.15:sample_rate=44100" "$@" "corpus/decode_bytes/$name" ||
        echo "left out: $name" >&2
}
make mono.wav -ac 1
make u8.wav -c:a pcm_u8 -ar 8000
make s24.wav -c:a pcm_s24le -ac 2 -t 0.05
make float.wav -c:a pcm_f32le -t 0.05
make double.wav -c:a pcm_f64le -t 0.03
make surround.wav -ac 6 -t 0.03
make alaw.wav -c:a pcm_alaw -ar 8000
make adpcm.wav -c:a adpcm_ms -ar 8000
make ima.wav -c:a adpcm_ima_wav -ar 8000
make rf64.wav -rf64 always -t 0.05
make a.aiff -t 0.05
make cbr.mp3 -b:a 64k
make vbr.mp3 -q:a 7 -ac 2
make low.mp3 -ar 16000 -b:a 16k
make plain.mp3 -b:a 32k -write_xing 0 -id3v2_version 0
make tagged.mp3 -b:a 32k -metadata title=tone
make stereo.m4a -c:a aac -ac 2
make mono.m4a -c:a aac -ar 22050
make fast.m4a -c:a aac -movflags +faststart
make alac.m4a -c:a alac -t 0.05
make fragmented.mp4 -c:a aac -movflags frag_keyframe+empty_moov
make surround.mp4 -c:a aac -ac 6
make film.mp4 -f lavfi -i "color=duration=0.15:size=16x16" -c:v mpeg4 -c:a aac
make mp3.mp4 -c:a libmp3lame -b:a 32k
make a.aac -c:a aac
make a.flac
make deep.flac -ar 96000 -sample_fmt s32 -t 0.03
make a.ogg -c:a libvorbis
make a.opus -c:a libopus
for file in corpus/decode_bytes/*.wav; do
    # One byte for the kind, then what follows it without the form's name.
    { printf '\000'; tail -c +5 "$file" | head -c 4; tail -c +13 "$file"; } >"corpus/wav_header/$(basename "$file")"
done
for file in corpus/decode_bytes/*.m4a corpus/decode_bytes/*.mp4; do
    first=$(od -An -N4 -tu1 "$file" | awk '{print (($1 * 256 + $2) * 256 + $3) * 256 + $4}')
    tail -c +$((first + 1)) "$file" >"corpus/mp4_header/$(basename "$file")"
done
du -sh corpus/*
