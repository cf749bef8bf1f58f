//! Trace context (W3C Trace Context, Level 1): the id that a caller's own tracing gave
//! to the whole of which this request is a part. It stands in every line that is
//! logged for the request, and decides nothing.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace id, 32 hex digits; none without a header, or with one that is not sound
/// (§3.2.2: version 255 and ids of zeros are invalid).
pub(super) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = parts.next()?;
    let sound = is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        // A later version may say more.
        && (version != "00" || parts.next().is_none());
    sound.then_some(trace)
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(TRACEPARENT, value);
        }
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn a_sound_header_names_its_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for sound in [
            format!("00-{trace}-00f067aa0ba902b7-01"),
            format!("cc-{trace}-00f067aa0ba902b7-00-what-comes-later"),
        ] {
            assert_eq!(of(&sound).as_deref(), Some(trace), "{sound}");
        }
        let zeros = "0".repeat(32);
        for unsound in [
            String::new(),
            trace.to_owned(),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}-00f067aa0ba902b7-01-more"),
            format!("00-{trace}-00f067aa0ba902b7"),
            format!("00-{trace}0-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(of(&unsound), None, "{unsound}");
        }
    }
}
