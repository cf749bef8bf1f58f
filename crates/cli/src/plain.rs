//! Text that came over the network, made harmless for a terminal.

use std::borrow::Cow;

/// Shows what would move the cursor, change colours or reorder the line as its
/// code point instead. Whitespace becomes a space: a value never looks like two
/// lines of ours.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => safe.push(' '),
            harmful if is_harmful(harmful) => {
                safe.extend(harmful.escape_unicode());
            }
            harmless => safe.push(harmless),
        }
    }
    Cow::Owned(safe)
}

/// The same, with the text's own line breaks kept: for what we say in several
/// lines, with a path or a name in it.
pub fn plain_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(plain).collect();
    lines.join("\n")
}

/// The same for JSON, where such characters can only stand within strings: there
/// they have an escape of their own, so no program notices.
pub fn plain_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_harmful(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// C0 and C1 controls, and what changes the direction or the visibility of text
/// (Unicode Standard Annex 9, "Trojan Source"; what has no shape of its own).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_repaint_the_terminal() {
        assert_eq!(plain("billing"), "billing");
        assert_eq!(plain("zürich 東京"), "zürich 東京");
        assert_eq!(plain("a\u{1b}]0;owned\u{7}b"), "a\\u{1b}]0;owned\\u{7}b");
        assert_eq!(plain("ok\nchancery: done"), "ok chancery: done");
        assert_eq!(plain("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(plain("gnp\u{202e}exe"), "gnp\\u{202e}exe");
        assert_eq!(plain_lines("next:\n  a\u{1b}c"), "next:\n  a\\u{1b}c");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "name": "a\u{9b}31m\u{202e}\u{e0001}\u{1b}b\n" });
        let text = plain_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            !text
                .chars()
                .any(|character| character != '\n' && is_harmful(character))
        );
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, value);
    }
}
