//! Pages of lists: so many entries, and so many bytes, whichever is reached first.
//!
//! Under the state's lock records are found and shared, no more; what an answer says of
//! them is made afterwards.

use prost::Message;

/// Entries that a page holds, bytes: an answer stays far below the message limit,
/// however large its entries are.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// Records that a page looks at, wanted or not: what is rare must not hold the state
/// for long.
const LOOKED_AT: usize = 10_000;

/// The records of a page, as they were found.
pub(super) struct Found<R> {
    records: Vec<R>,
    /// The last one looked at when more follow, empty otherwise.
    next: String,
}

/// The first records that are wanted, at most `size`.
pub(super) fn find<R>(
    records: impl Iterator<Item = R>,
    size: usize,
    wanted: impl Fn(&R) -> bool,
    name: impl Fn(&R) -> String,
) -> Found<R> {
    let mut found = Vec::new();
    let mut passed = None;
    for (looked_at, record) in records.enumerate() {
        if found.len() == size || looked_at == LOOKED_AT {
            let last = passed.as_ref().or(found.last());
            let next = last.map(name).unwrap_or_default();
            return Found {
                records: found,
                next,
            };
        }
        if wanted(&record) {
            passed = None;
            found.push(record);
        } else {
            passed = Some(record);
        }
    }
    Found {
        records: found,
        next: String::new(),
    }
}

impl<R> Found<R> {
    /// The entries, up to about `bytes` of them and one at least if there is any; and
    /// the name that the next page comes after, empty when there is none.
    pub(super) fn page<T: Message>(
        self,
        bytes: usize,
        name: impl Fn(&R) -> String,
        entry: impl Fn(&R) -> T,
    ) -> (Vec<T>, String) {
        let mut page = Vec::new();
        let mut held = 0;
        let mut records = self.records.iter().peekable();
        while let Some(record) = records.next() {
            let entry = entry(record);
            held += entry.encoded_len();
            page.push(entry);
            if held >= bytes && records.peek().is_some() {
                return (page, name(record));
            }
        }
        (page, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_wire::v1;

    fn owner(name: &&str) -> v1::Owner {
        v1::Owner {
            name: (*name).to_owned(),
            suspended: true,
            ..v1::Owner::default()
        }
    }

    fn page(size: usize, bytes: usize, wanted: &[&str]) -> (usize, String) {
        let name = |name: &&str| (*name).to_owned();
        let all = ["a", "b", "c"].into_iter();
        let found = find(all, size, |name| wanted.contains(name), name);
        let (page, next) = found.page(bytes, name, owner);
        (page.len(), next)
    }

    #[test]
    fn a_page_ends_at_its_size_or_at_its_bytes_and_says_that_more_follow() {
        let all = ["a", "b", "c"];
        assert_eq!(page(2, 1000, &all), (2, "b".to_owned()));
        assert_eq!(page(3, 1000, &all), (3, String::new()), "nothing follows");
        // One at least, or no page would ever move on.
        assert_eq!(page(3, 1, &all), (1, "a".to_owned()));
        assert_eq!(page(3, 6, &all), (2, "b".to_owned()));
        assert_eq!(page(2, 1, &all), (1, "a".to_owned()));
    }

    #[test]
    fn a_page_goes_on_after_what_it_looked_at() {
        assert_eq!(page(1, 1000, &["a"]), (1, "a".to_owned()));
        assert_eq!(page(1, 1000, &["b"]), (1, "b".to_owned()));
        assert_eq!(page(1, 1000, &["c"]), (1, String::new()));
        assert_eq!(page(2, 1000, &["a"]), (1, String::new()));
    }

    #[test]
    fn a_page_that_finds_nothing_ends_nonetheless() {
        let numbers = 0..=LOOKED_AT;
        let found = find(numbers, 1, |_| false, ToString::to_string);
        assert!(found.records.is_empty());
        assert_eq!(found.next, (LOOKED_AT - 1).to_string());
    }
}
