//! No input makes the reading of settings panic, and what is drawn of its mistakes neither.

mod config_support;

use affect::config::{Request, Source, load};
use config_support::{rendered, sound};
use proptest::prelude::*;

/// Loads a text with an environment and overrides; draws what is wrong.
fn survives(text: &str, environment: Vec<(String, String)>, overrides: Vec<String>) {
    let source = Source::Text {
        name: "any.toml".to_owned(),
        text: text.to_owned(),
    };
    if let Err(mistakes) = load(&Request {
        source,
        environment,
        overrides,
    }) {
        assert!(!mistakes.list().is_empty());
        for mistake in mistakes.list() {
            assert!(!mistake.message.is_empty());
            assert_eq!(mistake.line.is_some(), mistake.column.is_some());
        }
        assert!(!rendered(&mistakes).is_empty());
    }
}

/// Pieces that experiment files are made of, and that break them.
const PIECES: [&str; 48] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    " = ",
    ",",
    ".",
    "\n",
    "\r\n",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\\",
    "\u{feff}",
    "é",
    "\u{1F3B5}",
    "experiment",
    "dataset",
    "model",
    "layers",
    "[[model.layers]]\n",
    "[model]\n",
    "conv2d",
    "linear",
    "kernel",
    "channels",
    "kind",
    "extends",
    "split",
    "fractions",
    "[train]\n",
    "epochs = ",
    "0",
    "-1",
    "1e400",
    "nan",
    "0x_",
    "1979-05-27",
    "true",
    "\"targets\"",
    "\"adam\"",
    "[optimizer]\n",
    "scale = { kind = \"db\" }\n",
    "\0",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text(text in any::<String>()) {
        survives(&text, Vec::new(), Vec::new());
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes), Vec::new(), Vec::new());
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        survives(&pieces.concat(), Vec::new(), Vec::new());
    }

    /// A sound file with something cut out and something put in.
    #[test]
    fn any_damage(at in 0.0..1.0f64, length in 0..20usize, pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..4)) {
        let text: Vec<char> = sound().chars().collect();
        let start = (at * text.len() as f64) as usize;
        let end = (start + length).min(text.len());
        let damaged: String = text[..start].iter().collect::<String>() + &pieces.concat() + &text[end..].iter().collect::<String>();
        survives(&damaged, Vec::new(), Vec::new());
    }

    #[test]
    fn any_override(argument in any::<String>(), pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..10)) {
        survives(&sound(), Vec::new(), vec![argument.clone(), pieces.concat(), format!("model.layers[0].{argument}={}", pieces.concat())]);
    }

    #[test]
    fn any_variable(name in "(AFFECT_)?[A-Z_0-9é]{0,20}", value in any::<String>()) {
        let prefixed = format!("AFFECT_TRAIN__{name}");
        survives(&sound(), vec![(name, value.clone()), (prefixed, value)], Vec::new());
    }
}

#[test]
fn deep_nesting_ends() {
    survives(&("a = ".to_owned() + &"[".repeat(100_000)), Vec::new(), Vec::new());
    survives(&("a = ".to_owned() + &"{ a = ".repeat(100_000)), Vec::new(), Vec::new());
    survives(&format!("{}a = 1", "a.".repeat(20_000)), Vec::new(), Vec::new());
    survives(
        &sound(),
        Vec::new(),
        vec![
            format!("{}a=1", "a.".repeat(20_000)),
            format!("model.layers{}=1", "[0]".repeat(20_000)),
        ],
    );
}
