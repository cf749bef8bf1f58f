//! The token of a request (RFC 6750 §2.1).

use http::{HeaderMap, header::AUTHORIZATION};

/// What stands in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// One token, whatever it is worth.
    Token(&'a str),
    /// None: no header, or another scheme.
    Absent,
    /// It cannot be read, or there are several: nobody may choose which one counts.
    Invalid,
}

impl<'a> Bearer<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::Invalid;
        }
        value.to_str().map_or(Self::Invalid, Self::parse)
    }

    /// `Bearer`, in any case (RFC 9110 §11.1), spaces, and a token of the characters of
    /// `b64token`.
    pub(crate) fn parse(value: &'a str) -> Self {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Self::Absent;
        }
        let token = rest.trim_start_matches(' ');
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_one) {
            return Self::Invalid;
        }
        Self::Token(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_found_and_nothing_else() {
        for (value, expected) in [
            ("Bearer a.b-_~+/=.c", Bearer::Token("a.b-_~+/=.c")),
            ("bEARER  abc", Bearer::Token("abc")),
            ("Basic abc", Bearer::Absent),
            ("Bearerabc", Bearer::Absent),
            ("", Bearer::Absent),
            ("Bearer", Bearer::Invalid),
            ("Bearer ", Bearer::Invalid),
            ("Bearer a b", Bearer::Invalid),
            ("Bearer a,b", Bearer::Invalid),
            ("Bearer \u{e4}", Bearer::Invalid),
        ] {
            assert_eq!(Bearer::parse(value), expected, "{value:?}");
        }
    }

    #[test]
    fn of_two_tokens_none_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(Bearer::of(&headers), Bearer::Absent);
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer a"));
        assert_eq!(Bearer::of(&headers), Bearer::Token("a"));
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer a"));
        assert_eq!(Bearer::of(&headers), Bearer::Invalid);
    }
}
