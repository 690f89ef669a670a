//! What a command ends with when it cannot do its work: one line that says what, why and what to do.

use std::error::Error;

use kernel::failure::BoxError;

/// What a command gives.
pub type Outcome<T = ()> = Result<T, BoxError>;

/// A failure that stands for itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    source: Option<BoxError>,
}

impl Failure {
    /// A failure without a further cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// A failure with its cause.
    pub fn because(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

/// An error and its causes on one line. A cause that the text before tells already is left out.
#[must_use]
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        next = error.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_chain_is_one_line_and_says_nothing_twice() {
        let root = Failure::new("address\nin use");
        let middle = Failure::because("cannot listen: address\nin use", root);
        let error = Failure::because("no server", middle);
        assert_eq!(one_line(&error), "no server: cannot listen: address in use");
    }
}
