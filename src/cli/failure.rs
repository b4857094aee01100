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
    /// The user was told already.
    Told { status: u8 },
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

    /// All values, or all failures: each but the last is told at once.
    pub fn all<T>(results: impl Iterator<Item = Result<T, Self>>) -> Result<Vec<T>, Self> {
        let mut values = Vec::new();
        let mut failed = None;
        for result in results {
            match result {
                Ok(value) => values.push(value),
                Err(failure) => failed = Some(failure.tell_now(failed)),
            }
        }
        failed.map_or(Ok(values), Err)
    }

    /// Tells the user now, while other work goes on. Work that failed outweighs wrong requests in the exit status.
    pub fn tell_now(&self, before: Option<Self>) -> Self {
        let statuses = [Some(self.tell()), before.map(|before| before.status())];
        let status = statuses.into_iter().flatten().filter(|&status| status != 0).min();
        let status = status.unwrap_or_default();
        Self::Told { status }
    }

    /// For the run's record.
    pub fn message(&self) -> String {
        match self {
            Self::Mistakes(mistakes) => mistakes.to_string(),
            Self::Request { message, .. } | Self::Work { message, .. } | Self::Interrupted { message } => {
                message.clone()
            }
            Self::ClosedPipe => "the output was closed".into(),
            Self::Told { .. } => "failed, as was said before".into(),
        }
    }

    /// Prints the failure to stderr and gives the exit status.
    pub fn report(&self) -> ExitCode {
        ExitCode::from(self.tell())
    }

    fn tell(&self) -> u8 {
        match self {
            Self::Mistakes(mistakes) => output::mistakes(mistakes),
            Self::Request { message, hint } | Self::Work { message, hint } => output::error(message, hint.as_deref()),
            Self::Interrupted { message } => output::note(message),
            Self::ClosedPipe | Self::Told { .. } => {}
        }
        self.status()
    }

    fn status(&self) -> u8 {
        match self {
            Self::Mistakes(_) | Self::Request { .. } => 2,
            Self::Work { .. } => 1,
            Self::Interrupted { .. } => 130,
            Self::ClosedPipe => 0,
            Self::Told { status } => *status,
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
        let hint = match &error {
            report::Error::File(error) => error.hint().map(String::from),
            report::Error::Draw { .. } | report::Error::Size { .. } => None,
        };
        Self::Work {
            message: error.to_string(),
            hint,
        }
    }
}
