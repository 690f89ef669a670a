//! Structured logs, all to standard error: standard output belongs to what a command is asked for.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Config, LogFormat};

/// Begins to log. Without a `log-level` in the configuration, `usual_level` holds.
pub fn begin(config: &Config, usual_level: &str) {
    let filter = EnvFilter::new(config.log_level.as_deref().unwrap_or(usual_level));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever comes first is heard: tests of this process may have begun already.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("no message");
        tracing::error!(place, message, "a thread panicked");
    }));
}
