//! The typeface of every figure, embedded, so that a figure looks the same on a machine without fonts.
//!
//! Noto Sans (SIL Open Font License 1.1), regular and bold. It covers Latin, Greek and Cyrillic; a character that it lacks
//! (Chinese, emoji) shows as an empty box in figures, while the HTML page and the tables carry it as it is.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// The family name that SVG text asks for.
pub(super) const FAMILY: &str = "Noto Sans";

/// Regular or bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut database = fontdb::Database::new();
    database.load_font_data(notosans::REGULAR_TTF.to_vec());
    database.load_font_data(notosans::BOLD_TTF.to_vec());
    database.set_serif_family(FAMILY);
    database.set_sans_serif_family(FAMILY);
    Arc::new(database)
});

/// The embedded faces, for converting text to outlines.
pub(super) fn database() -> Arc<fontdb::Database> {
    Arc::clone(&DATABASE)
}

/// Width of `text` in pixels at `size` pixels per em, without kerning (which only makes it narrower).
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let bytes = match weight {
        Weight::Regular => notosans::REGULAR_TTF,
        Weight::Bold => notosans::BOLD_TTF,
    };
    let unknown = 0.6 * size;
    let Ok(font) = FontRef::new(bytes) else {
        return unknown * text.chars().count() as f64;
    };
    let characters = font.charmap();
    let metrics = font.glyph_metrics(Size::new(size as f32), LocationRef::default());
    text.chars()
        .map(|character| {
            characters
                .map(character)
                .and_then(|glyph| metrics.advance_width(glyph))
                .map_or(unknown, f64::from)
        })
        .sum()
}

/// `text` made safe for XML: control characters and what XML forbids become spaces.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{fffe}' | '\u{ffff}' => ' ',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect()
}

/// `text`, [clean], shortened in the middle so that it is at most `limit` pixels wide.
pub(super) fn fit(text: &str, size: f64, weight: Weight, limit: f64) -> String {
    let text = clean(text);
    // No figure is wide enough for more; it bounds the work on absurd names.
    let characters: Vec<char> = text.chars().collect();
    if characters.len() < 2000 && width(&text, size, weight) <= limit {
        return text;
    }
    let shortened = |keep: usize| -> String {
        let head = keep.div_ceil(2);
        let tail = keep - head;
        let mut short: String = characters.iter().take(head).collect();
        short.push('…');
        short.extend(characters.iter().skip(characters.len() - tail));
        short
    };
    let (mut low, mut high) = (0, characters.len().saturating_sub(1).min(400));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if width(&shortened(middle), size, weight) <= limit {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    shortened(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_figures_use() {
        for bytes in [notosans::REGULAR_TTF, notosans::BOLD_TTF] {
            let font = FontRef::new(bytes).unwrap();
            for character in "azAZ09.,:;()[]%=+−–—…·×±²³αβρäöüéñçßøłğ'’“”≤≥".chars()
            {
                assert!(font.charmap().map(character).is_some(), "{character}");
            }
        }
        let families: Vec<_> = database().faces().map(|face| face.families[0].0.clone()).collect();
        assert_eq!(families, [FAMILY, FAMILY]);
    }

    #[test]
    fn names_are_shortened_in_the_middle() {
        let name = "a_very_long_target_name_".repeat(50);
        for limit in [0.0, 5.0, 20.0, 100.0, 300.0] {
            let short = fit(&name, 10.0, Weight::Regular, limit);
            assert!(
                width(&short, 10.0, Weight::Regular) <= limit.max(10.0),
                "{limit}: {short}"
            );
        }
        assert_eq!(fit("valence", 10.0, Weight::Bold, 100.0), "valence");
        assert_eq!(fit("a\u{0}b\nc", 10.0, Weight::Bold, 100.0), "a b c");
        assert!(fit(&name, 10.0, Weight::Regular, 100.0).starts_with("a_very"));
        assert_eq!(fit("", 10.0, Weight::Regular, 0.0), "");
    }
}
