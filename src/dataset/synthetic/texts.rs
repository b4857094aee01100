//! What the corpus's text files say.

use std::fmt::Write as _;

use super::emotion::{Affect, Cue, Mode};
use super::song::Song;
use crate::dataset::spec::SyntheticSpec;

/// The song-level annotations, with DEAM's header: all columns but the first begin with a space.
pub fn annotations(songs: &[Song]) -> String {
    let mut text = String::from("song_id, valence_mean, valence_std, arousal_mean, arousal_std\n");
    for song in songs {
        let (valence, arousal) = (song.ratings.valence, song.ratings.arousal);
        let _ = writeln!(
            text,
            "{},{:.3},{:.3},{:.3},{:.3}",
            song.id, valence.mean, valence.deviation, arousal.mean, arousal.deviation
        );
    }
    text
}

/// What was true of each song, as CSV.
pub fn truth(songs: &[Song]) -> String {
    let mut text = String::from("song_id,valence,arousal");
    for cue in Cue::ALL {
        let _ = write!(text, ",{}", format!("{cue:?}").to_lowercase());
    }
    text.push_str(
        ",tempo_bpm,notes_per_beat,dynamics_db,mode_name,register_midi,sounding_share,attack_factor,brightness_db_per_octave,\
         dissonance_share,contour_direction,range_steps,irregularity,vibrato_semitones,vibrato_hz,\
         tonic,metre,pattern,drums,melody,chords,bass,gain_db,tilt_db,reverberation_s,noise_db\n",
    );
    for song in songs {
        let (cues, style) = (&song.cues, &song.style);
        let _ = write!(
            text,
            "{},{:.3},{:.3}",
            song.id,
            Affect::to_scale(song.truth.valence),
            Affect::to_scale(song.truth.arousal)
        );
        for cue in Cue::ALL {
            let _ = write!(text, ",{:.3}", song.strengths.of(cue));
        }
        let mode = match cues.mode {
            Mode::Major => "major",
            Mode::Minor => "minor",
        };
        let _ = write!(
            text,
            ",{:.1},{:.2},{:.1},{mode},{:.1},{:.2},{:.2},{:.2},{:.2},{:.2},{:.1},{:.2},{:.2},{:.2}",
            cues.tempo,
            cues.density,
            cues.dynamics,
            cues.register,
            cues.articulation,
            cues.attack,
            cues.brightness,
            cues.dissonance,
            cues.contour,
            cues.range,
            cues.irregularity,
            cues.vibrato_depth,
            cues.vibrato_rate,
        );
        let names = format!(
            "{:?},{:?},{:?},{:?},{:?}",
            style.pattern, style.drums, style.melody, style.chords, style.bass
        );
        let recording = &style.recording;
        let _ = writeln!(
            text,
            ",{},{},{},{:.1},{:.1},{:.2},{:.0}",
            style.tonic,
            style.metre,
            names.to_lowercase(),
            recording.gain,
            recording.tilt,
            recording.reverberation,
            recording.noise
        );
    }
    text
}

/// What the folder is, for who finds it.
pub fn readme(spec: &SyntheticSpec) -> String {
    format!(
        "Music rendered by `affect` from known valence and arousal\n\
         \n\
         {} songs of {} s at {} Hz, seed {}. No recording and no composition of others is in it.\n\
         \n\
         MEMD_audio/    one WAV file per song\n\
         annotations/   mean and standard deviation of {} simulated annotators' ratings (deviation {} each), on the\n\
        \x20              scale 1 to 9, in the layout of DEAM\n\
         truth.csv      what was true of each song: valence and arousal before the annotators, how strongly each cue was\n\
        \x20              used (in standard deviations), the cues in their units, and what varied freely\n\
         \n\
         The mapping from emotion to music follows findings of music psychology; the documentation of the module\n\
         `dataset::synthetic` names the sources. The corpus is for trying the program out. Results on it say nothing about\n\
         how well a model recognises emotion in real music.\n\
         \n\
         The folder may be deleted; it is rendered again when needed, to the same bytes.\n",
        spec.songs, spec.seconds, spec.sample_rate, spec.seed, spec.annotators, spec.annotator_deviation
    )
}
