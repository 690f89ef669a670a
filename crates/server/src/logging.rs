//! Structured logs, all to standard error: standard output belongs to what a command is asked for.
//!
//! It promises that an event is one line, whatever texts it holds: control characters, with which a client
//! could forge a line or command a terminal, are shown by their codes. And that the desk goes on when nobody
//! takes its lines (a full disk, a pipe whose reader has gone): those are counted as
//! `insightdesk_log_lines_lost_total`. Times are in UTC.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Config, LogFormat};

/// How many lines nobody took.
static LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// Begins to log. Without a `log-level` in the configuration, `usual_level` holds.
pub fn begin(config: &Config, usual_level: &str) {
    let filter = EnvFilter::new(config.log_level.as_deref().unwrap_or(usual_level));
    let coloured = config.log_format == LogFormat::Text && io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(move || Line {
        sink: io::stderr(),
        coloured,
    });
    // Whoever comes first is heard: tests of this process may have begun already.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(coloured).try_init(),
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

/// Takes one event, which the formatter writes as a whole.
struct Line<W> {
    sink: W,
    /// Whether the formatter's own colours are to pass.
    coloured: bool,
}

impl<W: Write> Write for Line<W> {
    /// Never fails: the formatter would tell of it on standard error, which is what has failed.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.sink.write_all(&one_line(event, self.coloured)).is_err() {
            let lost = LINES_LOST.fetch_add(1, Ordering::Relaxed) + 1;
            // The whole sum, as the first may have been lost before anyone counted.
            metrics::counter!("insightdesk_log_lines_lost_total").absolute(lost);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event on one line, which ends with it.
fn one_line(event: &[u8], coloured: bool) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    // The formatter has shown those escapes by their codes already that came with a text.
    let passes = |letter: char| !letter.is_control() || letter == '\t' || (coloured && letter == '\u{1b}');
    let text = String::from_utf8_lossy(text);
    if text.chars().all(passes) {
        return Cow::Borrowed(event);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if passes(letter) {
            line.push(letter);
        } else {
            // Writing into a string cannot fail.
            let _ = write!(line, "{}", letter.escape_default());
        }
    }
    line.push('\n');
    Cow::Owned(line.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: &str, coloured: bool) -> String {
        String::from_utf8(one_line(event.as_bytes(), coloured).into_owned()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        assert_eq!(shown("plain, größer\ta=1\n", false), "plain, größer\ta=1\n");
        assert_eq!(
            shown("cause=one\r\n2026-01-01T00:00:00Z  INFO forged\n", false),
            "cause=one\\r\\n2026-01-01T00:00:00Z  INFO forged\n"
        );
        assert_eq!(
            shown("\u{1b}[2J\u{7}\u{9b}31m\0\n", false),
            "\\u{1b}[2J\\u{7}\\u{9b}31m\\u{0}\n"
        );
        assert_eq!(
            shown("\u{1b}[32mINFO\u{1b}[0m a\nb\n", true),
            "\u{1b}[32mINFO\u{1b}[0m a\\nb\n"
        );
    }

    #[test]
    fn a_line_that_nobody_takes_is_counted_and_no_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let before = LINES_LOST.load(Ordering::Relaxed);
        let mut line = Line {
            sink: Full,
            coloured: false,
        };
        line.write_all(b"an event\n").unwrap();
        assert_eq!(LINES_LOST.load(Ordering::Relaxed), before + 1);
    }
}
