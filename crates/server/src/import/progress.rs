//! How far an import is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Summary;

/// Where there is no terminal, a line comes this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far it is. Writes to the standard error.
pub(super) struct Progress {
    consumed: Arc<AtomicU64>,
    began: Instant,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

/// Whether progress is shown at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// On the standard error.
    Shown,
    /// Not at all.
    Hidden,
}

impl Progress {
    /// Begins; the input has `length` bytes, of which `consumed` counts those that were read.
    pub(super) fn begin(length: Option<u64>, consumed: Arc<AtomicU64>, visibility: Visibility) -> Self {
        let began = Instant::now();
        let display = match visibility {
            Visibility::Hidden => Display::Nothing,
            Visibility::Shown if std::io::stderr().is_terminal() => Display::Bar(bar(length)),
            Visibility::Shown => Display::Lines { last: began },
        };
        Self {
            consumed,
            began,
            display,
        }
    }

    /// Begins; there are `total` records.
    pub(super) fn of_records(total: u64, visibility: Visibility) -> Self {
        let mut progress = Self::begin(Some(total), Arc::default(), visibility);
        if let Display::Bar(bar) = &mut progress.display {
            let template = "{bar:30} {percent:>3} %  {pos}/{len}  {eta} left  {wide_msg}";
            *bar = bar.clone().with_style(style(template));
        }
        progress
    }

    /// Shows that so many records are read, and what became of them.
    pub(super) fn show_records(&mut self, read: u64, what: &str) {
        self.consumed.store(read, Ordering::Relaxed);
        let rate = rate(read, self.began.elapsed());
        self.tell(|| format!("{read} records ({rate}/s){what}"));
    }

    /// Shows where it is now.
    pub(super) fn show(&mut self, summary: &Summary) {
        let began = self.began;
        self.tell(|| {
            let Summary {
                read,
                imported,
                already_there,
                refused,
            } = summary;
            let rate = rate(*read, began.elapsed());
            format!(
                "{read} rows ({rate}/s): {imported} imported, {already_there} already there, {refused} refused"
            )
        });
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_position(self.consumed.load(Ordering::Relaxed));
                bar.set_message(text());
            }
            Display::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{}", text());
            }
            Display::Lines { .. } | Display::Nothing => {}
        }
    }

    /// Ends; gives the time that it took.
    pub(super) fn end(self) -> Duration {
        if let Display::Bar(bar) = self.display {
            bar.finish_and_clear();
        }
        self.began.elapsed()
    }
}

/// So many a second.
pub(super) fn rate(count: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / millis
}

fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {eta} left  {wide_msg}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes}  {elapsed}  {wide_msg}",
        ),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
