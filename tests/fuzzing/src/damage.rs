//! What transit, a disk or malice makes of an input.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One change. Places are taken modulo what is there.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// Goes on as another input does.
    Splice(Index, Index, Index),
    Cut(Index),
}

/// An input with up to four changes.
pub(crate) fn damaged(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), vec(change(), 0..4)).prop_map(move |(which, changes)| {
        let mut input = which.get(&inputs).clone();
        for change in changes {
            apply(&mut input, change, &inputs);
        }
        input
    })
}

/// Letters that grammars give a meaning are tried more often than others.
fn byte() -> impl Strategy<Value = u8> {
    let meant = b"\0\n\r\t \"'*+,-./:=@[\\]_{}\x1b\x7f\x80\xff0aZ".to_vec();
    prop_oneof![any::<u8>(), proptest::sample::select(meant)]
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        (place(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        (place(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (place(), vec(byte(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place(), 1..16_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (place(), 1..64_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        (place(), place(), place()).prop_map(|(at, of, from)| Change::Splice(at, of, from)),
        place().prop_map(Change::Cut),
    ]
}

fn apply(input: &mut Vec<u8>, change: Change, inputs: &[Vec<u8>]) {
    let length = input.len();
    let at = |index: Index| index.index(length + 1);
    match change {
        Change::Flip(index, bits) => {
            if let Some(byte) = input.get_mut(index.index(length.max(1))) {
                *byte ^= bits;
            }
        }
        Change::Set(index, value) => {
            if let Some(byte) = input.get_mut(index.index(length.max(1))) {
                *byte = value;
            }
        }
        Change::Insert(index, bytes) => {
            let at = at(index);
            input.splice(at..at, bytes);
        }
        Change::Remove(index, count) => {
            let at = at(index);
            input.drain(at..length.min(at + count));
        }
        Change::Repeat(index, count) => {
            let at = at(index);
            let end = length.min(at + count);
            input.extend_from_within(at..end);
        }
        Change::Splice(index, of, from) => {
            let other = of.get(inputs);
            let from = from.index(other.len() + 1);
            input.truncate(at(index));
            input.extend(other.iter().skip(from));
        }
        Change::Cut(index) => input.truncate(at(index)),
    }
}
