//! openraft asks its application types for serde. Chancery's own protobuf is
//! what stands on the wire and on disk, so these implementations refuse: a path
//! that would encode a library's struct fails loudly, at its first use.

macro_rules! never_serialised {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom(concat!(
                    stringify!($type),
                    " is encoded by chancery.log.v1 only"
                )))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom(concat!(
                    stringify!($type),
                    " is decoded by chancery.log.v1 only"
                )))
            }
        }
    };
}

pub(crate) use never_serialised;
