//! IMEMNet and IMEMNet-C: pictures, music, what they express, and which of them go together.
//!
//! IMEMNet (Zhao, Li, Yao, Nie, Jia, Yang and Keutzer 2020) is a list of pairs of a clip of music and a picture with a score for how well they match in
//! valence and arousal ([`matching`]). IMEMNet-C is the valence and arousal themselves, of the pictures (`c_image`) and of the
//! clips with captions (`c_music`). Pictures are files, or arrays of the EMOTIC corpus ([`arrays`]).
//!
//! A network that matches needs more than the list: `media` finds the files behind the ids ([`PairCorpus`]), `sides` divides the pairs.

pub mod arrays;
mod c_image;
mod c_music;
pub mod clean;
pub mod matching;
mod media;
mod sides;
pub mod spec;
mod va;

pub(super) use c_image::load as load_image;
pub(super) use c_music::load as load_music;
pub use matching::{Leak, Matching, Pair};
pub use media::{PairCorpus, load as load_pairs};
pub use sides::PairSides;
pub use spec::{
    ImemnetCImageSpec, ImemnetCMusicSpec, ImemnetSpec, MatchingFiles, OfficialOverlap, PairGroup, Pictures, Repeated,
};

/// The song that a clip is of: `1967-11` is clip 11 of song 1967.
pub fn song_of(clip: &str) -> &str {
    clip.rsplit_once('-').map_or(clip, |(song, _)| song)
}

/// A picture's id without its extension: ids without one mean `.jpg`.
pub fn image_stem(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((stem, extension)) if ["jpg", "jpeg", "png"].contains(&extension.to_lowercase().as_str()) => stem,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart() {
        assert_eq!((song_of("1967-11"), song_of("7")), ("1967", "7"));
        assert_eq!(
            (image_stem("a.b.JPG"), image_stem("COCO_1"), image_stem("2352.2")),
            ("a.b", "COCO_1", "2352.2")
        );
    }
}
