//! The numbers that the cluster hands out, each a type of its own.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$repr> for $name {
            fn from(number: $repr) -> Self {
                Self(number)
            }
        }

        impl From<$name> for $repr {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

pub(crate) use number;

number! {
    /// A signing key's number: handed out in order by the replicated log, never
    /// reused within a lineage. It is the first 32 bits of every [`TokenId`](crate::TokenId)
    /// that the issuer signs.
    IssuerNumber(u32)
}

number! {
    /// A node's number: handed out when it is admitted, never reused.
    NodeNumber(u64)
}

number! {
    /// A key epoch's number: a generation of issuers.
    EpochNumber(u64)
}
