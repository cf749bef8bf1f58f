//! A page of memory for one signing key, which stays in memory: locked, so that it
//! is never swapped out, and left out of core dumps and of children.

use std::io;

use chancery_credential::{KeyBytes, KeyMemory};
use memmap2::{Advice, MmapMut};

/// A page of its own, given back to the system when dropped. What lay in it was
/// wiped before, by the key.
pub(super) struct LockedPage(MmapMut);

/// What a page lacks of what it should have.
#[derive(Debug)]
pub(super) struct Exposed {
    /// What can happen to the key.
    pub(super) how: &'static str,
    /// What the system said.
    pub(super) source: io::Error,
}

impl LockedPage {
    /// A page, and how it is exposed if the system would not protect it wholly: a
    /// node that may lock no memory still signs.
    ///
    /// # Errors
    /// When the system has no page.
    pub(super) fn new() -> io::Result<(Self, Vec<Exposed>)> {
        let page = MmapMut::map_anon(size_of::<KeyBytes>())?;
        let steps = [
            ("it may stand in a core dump", page.advise(Advice::DontDump)),
            ("a child may hold it", page.advise(Advice::DontFork)),
            ("it may be swapped out", page.lock()),
        ];
        let exposed = steps
            .into_iter()
            .filter_map(|(how, done)| done.err().map(|source| Exposed { how, source }))
            .collect();
        Ok((Self(page), exposed))
    }
}

impl KeyMemory for LockedPage {
    #[expect(clippy::expect_used, reason = "the page was made this long")]
    fn read(&self) -> &KeyBytes {
        let (halves, _) = self.0.as_chunks();
        halves.first_chunk().expect("a page holds a key")
    }

    #[expect(clippy::expect_used, reason = "the page was made this long")]
    fn write(&mut self) -> &mut KeyBytes {
        let (halves, _) = self.0.as_chunks_mut();
        halves.first_chunk_mut().expect("a page holds a key")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chancery_credential::SigningKey;

    use super::*;

    #[test]
    fn a_key_in_a_page_signs_as_anywhere() {
        let seed = [7; 32];
        let (page, _) = LockedPage::new().unwrap();
        let key = SigningKey::draw(Box::new(page), |room| {
            room.copy_from_slice(&seed);
            Ok::<(), io::Error>(())
        })
        .unwrap();
        let elsewhere = SigningKey::from_seed(&seed);
        assert_eq!(key.public(), elsewhere.public());
        assert_eq!(key.sign(b"a message"), elsewhere.sign(b"a message"));
    }
}
