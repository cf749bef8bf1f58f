//! The transcript.

use std::time::Duration;

/// Begins a part of the story.
pub fn chapter(title: &str) {
    println!("\n# {title}");
}

/// Something that was seen.
pub fn seen(what: impl std::fmt::Display) {
    println!("  {what}");
}

/// A command as it was typed.
pub fn typed(words: &[&str]) {
    let quoted: Vec<_> = words
        .iter()
        .map(|word| {
            let plain = |character: char| {
                character.is_ascii_alphanumeric() || "-_./:=,@".contains(character)
            };
            if word.chars().all(plain) {
                (*word).to_owned()
            } else {
                format!("'{word}'")
            }
        })
        .collect();
    println!("$ chancery {}", quoted.join(" "));
}

/// A span, in milliseconds.
pub fn ms(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

/// A span, in seconds.
pub fn s(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
