//! Which start of the machine this is: whether it went down since something was
//! written.

use std::fs;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A start of the machine, as the kernel names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BootId(pub(crate) [u8; 16]);

impl BootId {
    /// Of the machine as it runs now. All zeros where the system does not say.
    pub(crate) fn current() -> Self {
        let text = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Self::parse(&text).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
        let mut id = [0; 16];
        hex::decode_to_slice(digits, &mut id).ok()?;
        Some(Self(id))
    }

    /// Whether the machine has run since `earlier`. What is not known was not the same.
    pub(super) fn is_still(self, earlier: Self) -> bool {
        self == earlier && self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_which_start_it_is_and_what_it_does_not_say_is_never_the_same() {
        let now = BootId::current();
        assert!(now.is_still(BootId::current()), "{now:?}");
        let id = BootId::parse("01020304-0506-0708-090a-0b0c0d0e0f10\n").unwrap_or_default();
        assert_eq!(id.0[..3], [1, 2, 3]);
        assert!(!id.is_still(now));
        assert_eq!(BootId::parse("nonsense"), None);
        assert!(!BootId::default().is_still(BootId::default()));
    }
}
