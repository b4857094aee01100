//! DEAM, with fifteen songs.

use std::path::Path;

use super::{ffmpeg, write};

/// Songs whose sound, rows and columns are all there, with their sample rates: the real corpus has these four.
pub const SOUND: [(u64, u32); 12] = [
    (2, 44_100),
    (3, 48_000),
    (4, 44_100),
    (5, 22_050),
    (7, 16_000),
    (10, 44_100),
    (999, 44_100),
    (1001, 44_100),
    (1002, 48_000),
    (1003, 44_100),
    (2001, 44_100),
    (2002, 44_100),
];
/// No file.
pub const MISSING: u64 = 20;
/// A file of zero bytes.
pub const EMPTY: u64 = 21;
/// A file that is no MP3.
pub const DAMAGED: u64 = 22;

/// Every song with a row in the tables.
pub fn songs() -> Vec<u64> {
    let mut songs: Vec<u64> = SOUND
        .iter()
        .map(|(song, _)| *song)
        .chain([MISSING, EMPTY, DAMAGED])
        .collect();
    songs.sort_unstable();
    songs
}

/// What is true of a song, on −1 to 1.
pub fn truth(song: u64) -> (f64, f64) {
    let part = |factor: u64| ((song * factor) % 17) as f64 / 10.0 - 0.8;
    (part(5), part(11))
}

/// The annotation of song and half second.
pub fn annotation(of_song: f64, index: usize) -> f64 {
    of_song + 0.01 * (index % 10) as f64 - 0.045
}

/// Writes the whole corpus. Songs last 45 s, the full ones 52 s.
pub fn generate(root: &Path) {
    annotations(root);
    for (song, rate) in SOUND {
        let seconds = if song > 2000 { 52.0 } else { 45.0 };
        let (valence, arousal) = truth(song);
        let filter = format!(
            "sine=f={}:d={seconds},tremolo=f={}:d=0.8,aformat=channel_layouts=stereo",
            440.0 * 2f64.powf(valence),
            4.0 + 3.0 * arousal
        );
        let path = root.join(format!("MEMD_audio/{song}.mp3"));
        ffmpeg(&[
            "-f",
            "lavfi",
            "-i",
            &filter,
            "-ar",
            &rate.to_string(),
            "-c:a",
            "libmp3lame",
            "-b:a",
            "64k",
            path.to_str().unwrap(),
        ]);
    }
    let audio = root.join("MEMD_audio");
    write(&audio.join(format!("{EMPTY}.mp3")), "");
    write(
        &audio.join(format!("{DAMAGED}.mp3")),
        "this is a page that says that the file was not found\n".repeat(40),
    );
    // Litter, and a song that nobody annotated.
    write(&audio.join("._2.mp3"), b"\0\x05\x16\x07");
    write(&audio.join("9999.mp3"), "x");
    write(&audio.join("notes.txt"), "x");
}

/// The tables alone.
pub fn annotations(root: &Path) {
    let per_song = root.join("annotations/annotations averaged per song");
    let mut early = String::from("song_id, valence_mean, valence_std, arousal_mean, arousal_std\n");
    let mut late = String::from("song_id, valence_mean, valence_std, valence_ max_mean, arousal_mean, arousal_std\r\n");
    for song in songs() {
        let (mut valence, mut arousal) = truth(song);
        if song <= 1000 {
            // As in the real file.
            (valence, arousal) = (arousal, valence);
        }
        let (valence, arousal) = (5.0 + 4.0 * valence, 5.0 + 4.0 * arousal);
        if song <= 2000 {
            early.push_str(&format!("{song},{valence:.2},1.2,{arousal:.2},0.8\n"));
        } else {
            late.push_str(&format!("{song},{valence:.2},1.1,9,{arousal:.2},0.9\r\n"));
        }
    }
    let song_level = per_song.join("song_level");
    write(&song_level.join("static_annotations_averaged_songs_1_2000.csv"), early);
    write(
        &song_level.join("static_annotations_averaged_songs_2000_2058.csv"),
        late,
    );

    let dynamic = per_song.join("dynamic (per second annotations)");
    // The full songs have more columns than the others have cells; arousal lacks the last column that valence has.
    write(&dynamic.join("valence.csv"), table(74, |song| truth(song).0, &[]));
    write(
        &dynamic.join("arousal.csv"),
        table(73, |song| truth(song).1, &[(12, 0.1)]),
    );
}

/// A wide file of `columns` half seconds; song 4 has no annotation from 20 s to before 25 s but one, song 5 has gaps of one each
/// second, song 7 ends at 30 s.
fn table(columns: usize, truth: impl Fn(u64) -> f64, more: &[(u64, f64)]) -> String {
    let mut text = String::from("song_id");
    for column in 0..columns {
        text.push_str(&format!(",sample_{}ms", 15_000 + 500 * column));
    }
    text.push('\n');
    let rows = songs()
        .into_iter()
        .map(|song| (song, truth(song)))
        .chain(more.iter().copied());
    for (song, truth) in rows {
        text.push_str(&song.to_string());
        let cells = match song {
            7 => 30,
            2001 | 2002 => columns,
            _ => 60,
        };
        for index in 0..cells {
            let gap = match song {
                4 => (11..20).contains(&index),
                5 => index % 2 == 0,
                _ => false,
            };
            match gap {
                true => text.push(','),
                false => text.push_str(&format!(",{:.4}", annotation(truth, index))),
            }
        }
        if song == 3 {
            // Padded to the width of the header, as a spreadsheet saves it.
            text.push_str(&",".repeat(columns - cells));
        }
        text.push('\n');
    }
    text
}
