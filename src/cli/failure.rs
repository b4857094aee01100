//! How a command ends when it does not end well.

use std::process::ExitCode;

use super::output;
use crate::config::Mistakes;
use crate::{dataset, evaluate, features, files, report, track, train};

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// The experiment file is wrong: exit status 2.
    Mistakes(Mistakes),
    /// The request cannot be met: exit status 2.
    Request { message: String, hint: Option<String> },
    /// The work failed: exit status 1.
    Work { message: String, hint: Option<String> },
    /// Stopped by Ctrl-C after the state was saved: exit status 130.
    Interrupted { message: String },
    /// Nobody reads the output any more: no error.
    ClosedPipe,
}

impl Failure {
    pub fn request(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Request {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The same failure, had it happened in mid-run.
    pub fn in_mid_run(self) -> Self {
        match self {
            Self::Request { message, hint } => Self::Work { message, hint },
            other => other,
        }
    }

    /// For the run's record.
    pub fn message(&self) -> String {
        match self {
            Self::Mistakes(mistakes) => mistakes.to_string(),
            Self::Request { message, .. } | Self::Work { message, .. } | Self::Interrupted { message } => {
                message.clone()
            }
            Self::ClosedPipe => "the output was closed".into(),
        }
    }

    /// Prints the failure to stderr and gives the exit status.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Mistakes(mistakes) => {
                output::mistakes(mistakes);
                ExitCode::from(2)
            }
            Self::Request { message, hint } => {
                output::error(message, hint.as_deref());
                ExitCode::from(2)
            }
            Self::Work { message, hint } => {
                output::error(message, hint.as_deref());
                ExitCode::from(1)
            }
            Self::Interrupted { message } => {
                output::note(message);
                ExitCode::from(130)
            }
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

/// Errors of the library whose `Display` says it all and whose `hint` says what to do.
macro_rules! request_with_hint {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = error.hint().map(Into::into);
                Self::request(error.to_string(), hint)
            }
        }
    )+};
}

request_with_hint!(
    dataset::Error,
    dataset::split::Error,
    features::Error,
    files::Error,
    track::Error
);

impl From<train::Error> for Failure {
    fn from(error: train::Error) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        match error.is_request() {
            true => Self::Request { message, hint },
            false => Self::Work { message, hint },
        }
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        train::Error::from(error).into()
    }
}

impl From<evaluate::EvaluateError> for Failure {
    fn from(error: evaluate::EvaluateError) -> Self {
        train::Error::from(error).into()
    }
}

impl From<report::Error> for Failure {
    fn from(error: report::Error) -> Self {
        Self::Work {
            message: error.to_string(),
            hint: None,
        }
    }
}
