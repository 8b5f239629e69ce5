//! Bars and log lines share a terminal: a line is written above the bars, never into one.

use std::io::{Write, stderr};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Every bar that is drawn.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar on standard error, drawn only if that is a terminal.
pub(super) fn bar(template: &str) -> ProgressBar {
    styled(ProgressBar::no_length(), template, ProgressStyle::default_bar)
}

/// The same without a known end.
pub(super) fn spinner(template: &str) -> ProgressBar {
    styled(ProgressBar::new_spinner(), template, ProgressStyle::default_spinner)
}

fn styled(bar: ProgressBar, template: &str, otherwise: fn() -> ProgressStyle) -> ProgressBar {
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| otherwise()));
    BARS.add(bar)
}

/// Takes away what is still drawn, as of a command that failed.
pub(super) fn clear() {
    // A terminal that cannot be written to shows nothing anyway.
    let _ = BARS.clear();
}

/// Standard error for log lines.
#[derive(Default)]
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}
