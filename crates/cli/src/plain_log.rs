//! The log of a node, made harmless for the terminal it may be read on: what
//! callers sent stands in it.

use std::io::{self, Write};

use crate::plain::{plain, plain_json};

/// A writer that takes one event of the log at a time, and makes one line of it: a
/// line break in a value begins no line that looks like ours.
pub struct PlainLog<W> {
    to: W,
    harmless: fn(&str) -> String,
}

impl<W: Write> PlainLog<W> {
    /// For lines that people read.
    pub fn text(to: W) -> Self {
        Self {
            to,
            harmless: |line| plain(line).into_owned(),
        }
    }

    /// For JSON objects, a line each.
    pub fn json(to: W) -> Self {
        Self {
            to,
            harmless: plain_json,
        }
    }
}

impl<W: Write> Write for PlainLog<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = (self.harmless)(line);
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, subscriber::with_default};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    const HOSTILE: &str =
        "a\u{1b}[2J\u{9b}31m\u{202e}\u{7}b\n2026-01-01 INFO chancery: all is well";

    fn says_it() {
        info!(name = %HOSTILE, debugged = ?HOSTILE, "refused {HOSTILE}");
    }

    fn is_plain(line: &str) -> bool {
        plain(line) == line
    }

    #[test]
    fn a_hostile_name_in_a_text_log_stays_within_its_line() {
        let log = Shared::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || PlainLog::text(to.clone()))
            .finish();
        with_default(subscriber, says_it);
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines.iter().all(|line| is_plain(line)), "{lines:?}");
    }

    #[test]
    fn a_hostile_name_in_a_json_log_is_plain_and_is_read_back() {
        let log = Shared::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || PlainLog::json(to.clone()))
            .finish();
        with_default(subscriber, says_it);
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines.iter().all(|line| is_plain(line)), "{lines:?}");
        let event: serde_json::Value = serde_json::from_str(&lines.concat()).unwrap();
        assert_eq!(event.pointer("/name").unwrap(), HOSTILE);
    }
}
