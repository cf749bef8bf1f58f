//! Strict JSON (RFC 8259, I-JSON RFC 7493): what two parsers could read in two
//! ways is refused, and the work for a hostile text is bounded.
//!
//! serde_json reads the grammar. This adds: no member twice in one object,
//! however it is escaped and however deep; a nesting depth; a number of members.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::malformed::{Malformed, Part};

/// Deepest nesting of objects and arrays; eight actors need nine.
const MAX_DEPTH: usize = 16;
/// Most members of one object, so that looking for a repetition stays cheap.
const MAX_MEMBERS: usize = 64;

/// What a claim can be. Whatever no claim of ours is, is `Other`.
pub(crate) enum Value<'a> {
    String(Cow<'a, str>),
    /// Written as an integer; `1.0` and `1e3` are not.
    Integer(u64),
    Array(Vec<Value<'a>>),
    Object(Members<'a>),
    Other,
}

/// The members of one object, each name once, in the order of the text.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// Reads one object that is the whole of `text`.
pub(crate) fn object(text: &[u8], part: Part) -> Result<Members<'_>, Malformed> {
    let refusal = Cell::new(Malformed::Json(part));
    let node = Node {
        part,
        depth: 0,
        refusal: &refusal,
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = node.deserialize(&mut json).map_err(|_| refusal.get())?;
    json.end().map_err(|_| Malformed::TrailingData(part))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Malformed::NotAnObject(part)),
    }
}

/// Reads one value inside `depth` others, and leaves in `refusal` what it will
/// not have.
#[derive(Copy, Clone)]
struct Node<'r> {
    part: Part,
    depth: usize,
    refusal: &'r Cell<Malformed>,
}

impl Node<'_> {
    fn refuse<E: serde::de::Error>(self, why: Malformed) -> E {
        self.refusal.set(why);
        E::custom("refused")
    }

    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(Malformed::TooDeep(self.part)));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(u64::try_from(number).map_or(Value::Other, Value::Integer))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut elements = Vec::new();
        while let Some(element) = array.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Members::new();
        while let Some(name) = object.next_key_seed(Name)? {
            if members.len() == MAX_MEMBERS {
                return Err(self.refuse(Malformed::TooManyMembers(self.part)));
            }
            if members.iter().any(|(earlier, _)| *earlier == name) {
                return Err(self.refuse(Malformed::DuplicateMember(self.part)));
            }
            members.push((name, object.next_value_seed(inner)?));
        }
        Ok(Value::Object(members))
    }
}

/// Reads a member's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Cow<'de, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
