//! Spans that are short here and long elsewhere.

/// Options of `chancery settings set`: as short as they may be for epochs of ten
/// seconds.
pub const SHORT: [&str; 10] = [
    "--ttl",
    "60s",
    "--ttl-cap",
    "60s",
    "--jwks-max-age",
    "2s",
    "--v-default",
    "3s",
    "--v-max",
    "4s",
];
