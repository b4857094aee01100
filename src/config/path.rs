//! Where a setting stands: `model.layers[0].conv2d.channels`.

use std::fmt;

/// One step from a table or an array to what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the root of an experiment to a setting; empty for the root itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads `a.b[0].c` and, as in a run's list of settings, `a.b.0.c`. Never fails: what is not an index is a key, and
    /// a key that does not exist is found by whoever looks for it.
    pub fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, indices) = match part.find('[') {
                Some(at) if part.ends_with(']') => part.split_at(at),
                _ => (part, ""),
            };
            if !key.is_empty() {
                steps.push(Step::of(key));
            }
            for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
                steps.push(Step::of(index));
            }
        }
        Self(steps)
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The first `length` steps.
    pub fn prefix(&self, length: usize) -> Self {
        Self(self.0.iter().take(length).cloned().collect())
    }

    /// The table or array that holds it; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The last key, past any indices.
    pub fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl Step {
    /// All digits: an index.
    pub fn of(text: &str) -> Self {
        match text.parse() {
            Ok(index) if text.bytes().all(|byte| byte.is_ascii_digit()) => Self::Index(index),
            _ => Self::Key(text.to_owned()),
        }
    }
}

impl FromIterator<Step> for KeyPath {
    fn from_iter<T: IntoIterator<Item = Step>>(steps: T) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_index_are_read() {
        let path = KeyPath::parse("model.layers[0].conv2d.channels");
        assert_eq!(path, KeyPath::parse("model.layers.0.conv2d.channels"));
        assert_eq!(path.to_string(), "model.layers[0].conv2d.channels");
        assert_eq!(KeyPath::parse("a[1][2]").to_string(), "a[1][2]");
        assert!(KeyPath::parse("").is_root());
        assert_eq!(KeyPath::parse("model.layers[3]").last_key(), Some("layers"));
    }
}
