//! Texts and fixed-length bytes, checked as their types demand.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use chancery_credential::{Ed25519PublicKey, KeyThumbprint, PeerPublicKey, TokenId};

use super::Undecodable;

fn invalid(what: &'static str, reason: impl fmt::Display) -> Undecodable {
    Undecodable::Invalid {
        what,
        reason: reason.to_string(),
    }
}

pub(super) fn text(value: &impl ToString) -> String {
    value.to_string()
}

pub(super) fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

pub(super) fn parse<T>(what: &'static str, text: &str) -> Result<T, Undecodable>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|reason| invalid(what, reason))
}

pub(super) fn parse_all<T>(what: &'static str, texts: &[String]) -> Result<Vec<T>, Undecodable>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    texts.iter().map(|text| parse(what, text)).collect()
}

pub(super) fn array<const N: usize>(
    what: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], Undecodable> {
    bytes
        .try_into()
        .map_err(|_| invalid(what, format_args!("{} bytes, not {N}", bytes.len())))
}

pub(super) fn bytes(slice: &[u8]) -> Bytes {
    Bytes::copy_from_slice(slice)
}

pub(super) fn thumbprints(keys: &[KeyThumbprint]) -> Vec<Bytes> {
    keys.iter().map(|key| bytes(key.as_bytes())).collect()
}

pub(super) fn read_thumbprint(key: &[u8]) -> Result<KeyThumbprint, Undecodable> {
    array("a key's thumbprint", key).map(KeyThumbprint::from_bytes)
}

pub(super) fn read_thumbprints(keys: &[Bytes]) -> Result<Vec<KeyThumbprint>, Undecodable> {
    keys.iter().map(|key| read_thumbprint(key)).collect()
}

pub(super) fn read_token_id(id: &[u8]) -> Result<TokenId, Undecodable> {
    array("a token id", id).map(TokenId::from_bytes)
}

pub(super) fn read_issuer_key(key: &[u8]) -> Result<Ed25519PublicKey, Undecodable> {
    Ed25519PublicKey::parse(key).map_err(|reason| invalid("an issuer's key", reason))
}

pub(super) fn read_peer_key(spki: &[u8]) -> Result<PeerPublicKey, Undecodable> {
    PeerPublicKey::from_spki(spki).map_err(|reason| invalid("a peer key", reason))
}
