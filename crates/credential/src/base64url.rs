//! Base64url without padding (RFC 4648 §5, RFC 7515 §2), canonical only: one
//! text for each sequence of bytes, so that no token has a twin.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not the canonical encoding of a value of the expected size.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the {encoding} of {bytes} bytes: copy the whole value as it was printed")]
pub struct EncodingError {
    /// How the value is written.
    pub encoding: &'static str,
    /// How many bytes the value has.
    pub bytes: usize,
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of `bytes`.
pub(crate) fn encode_onto(out: &mut Vec<u8>, bytes: &[u8]) {
    let at = out.len();
    out.resize(at + encoded_len(bytes.len()), 0);
    if let Some(room) = out.get_mut(at..) {
        encode_into(bytes, room);
    }
}

/// Fills `room`, which is exactly `encoded_len(bytes.len())` long.
pub(crate) fn encode_into(bytes: &[u8], room: &mut [u8]) {
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, room);
    debug_assert!(written.is_ok(), "the room is measured by encoded_len");
}

/// Length of the encoding of `bytes` bytes.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes / 3 * 4
        + match bytes % 3 {
            0 => 0,
            1 => 2,
            _ => 3,
        }
}

/// Refuses padding, other alphabets, white space and non-zero trailing bits.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes, `N` at most 64.
pub(crate) fn decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != encoded_len(N) {
        return None;
    }
    let mut room = [0_u8; 66];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}

pub(crate) fn parse_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    decode_array(text.as_bytes()).ok_or(EncodingError {
        encoding: "unpadded base64url",
        bytes: N,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_each_value() {
        assert_eq!(decode(b"AQ"), Some(vec![1]));
        assert_eq!(decode(b"AR"), None, "trailing bits");
        assert_eq!(decode(b"AQ=="), None, "padding");
        assert_eq!(decode(b"A+/_"), None, "the other alphabet");
        assert_eq!(decode(b"AQ\n"), None, "white space");
        assert_eq!(decode(b"A"), None, "an impossible length");
    }

    #[test]
    fn arrays_have_their_own_length() {
        for text in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(decode_array::<16>(text.as_bytes()), None);
        }
        assert_eq!(decode_array(b"AAAAAAAAAAAAAAAAAAAAAA"), Some([0_u8; 16]));
        assert_eq!(decode_array(encode(&[7; 64]).as_bytes()), Some([7_u8; 64]));
    }

    #[test]
    fn the_length_is_known_before() {
        for length in 0..100 {
            let bytes = vec![0x5a; length];
            let mut out = b"before".to_vec();
            encode_onto(&mut out, &bytes);
            assert_eq!(out.len(), 6 + encoded_len(length));
            assert_eq!(out.split_off(6), encode(&bytes).into_bytes());
        }
    }
}
