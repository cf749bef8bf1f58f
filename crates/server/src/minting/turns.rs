//! Whose turn it is to have something signed or verified.
//!
//! Requests are cheap to read and dear to sign. Served in the order in which they
//! come, one principal's thousand pipelined requests would be signed before the
//! single one of another that came just after them. Here each principal that waits
//! has a line of its own, and the lines are served in rotation: whoever asks for
//! little waits for one turn of each other principal, however much they ask for.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::Poll,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::caller::Holder;

/// A number of turns, given out fairly. Cheap to clone; all clones are one.
///
/// What waits is bounded by what each principal may have in flight
/// ([`Bounds`](crate::caller::Bounds)): a few words for each.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Lines>>);

struct Lines {
    /// Turns that nobody has. None while anybody waits.
    free: usize,
    /// Whoever has a line, once; the next first.
    rotation: VecDeque<Holder>,
    /// Never an empty line.
    waiting: HashMap<Holder, VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to sign or verify once. Dropping it hands it on.
#[must_use]
pub(crate) struct Turn(Option<Turns>);

impl Turns {
    /// `at_once` of them, at least one: as many as there are threads that can use
    /// them.
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            free: at_once.max(1),
            rotation: VecDeque::new(),
            waiting: HashMap::new(),
        })))
    }

    /// Waits for a turn of `holder`. To be used without waiting for anything else.
    pub(crate) async fn take(&self, holder: Holder) -> Turn {
        let turn = match self.line_up(holder) {
            Ok(turn) => turn,
            // A line lives as long as its turns, so this is never an error.
            Err(place) => place.await.unwrap_or(Turn(None)),
        };
        // Tasks that are ready are run in the order in which they became so. Held
        // across one round of them, a turn lets those behind it line up first, and
        // then it is the lines that say who is next.
        others_first().await;
        turn
    }

    fn line_up(&self, holder: Holder) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut lines = self.0.lock();
        if let Some(left) = lines.free.checked_sub(1) {
            lines.free = left;
            return Ok(Turn(Some(self.clone())));
        }
        let (sender, receiver) = oneshot::channel();
        lines.push(holder, sender);
        Err(receiver)
    }

    /// Gives a turn to the next that still waits for one.
    fn hand_on(self) {
        let mut lines = self.0.lock();
        let mut turn = Turn(Some(self.clone()));
        while let Some(next) = lines.pop() {
            match next.send(turn) {
                Ok(()) => return,
                // It has gone away meanwhile.
                Err(unused) => turn = unused,
            }
        }
        lines.free += 1;
        turn.0 = None;
    }
}

impl Lines {
    fn push(&mut self, holder: Holder, place: oneshot::Sender<Turn>) {
        let line = self.waiting.entry(holder.clone()).or_default();
        if line.is_empty() {
            self.rotation.push_back(holder);
        }
        // Those who went away do not make a line longer than it was when all its
        // places were waited for.
        if line.len() == line.capacity() {
            line.retain(|place| !place.is_closed());
        }
        line.push_back(place);
    }

    /// The first of the next line, which goes to the end of the rotation.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        loop {
            let holder = self.rotation.pop_front()?;
            let Some(line) = self.waiting.get_mut(&holder) else {
                continue;
            };
            let first = line.pop_front();
            if line.is_empty() {
                self.waiting.remove(&holder);
            } else {
                self.rotation.push_back(holder);
            }
            if first.is_some() {
                return first;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_on();
        }
    }
}

/// Lets every task run that is ready now.
async fn others_first() {
    let mut asked = false;
    poll_fn(|cx| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::caller::Identity;

    fn agent(name: &str) -> Holder {
        Holder::of(&Identity::Agent {
            id: format!("spiffe://example.org/{name}").parse().unwrap(),
        })
    }

    /// Who was served, in this order, when all of `asking` asked in theirs.
    async fn served(at_once: usize, asking: impl Iterator<Item = &'static str>) -> Vec<String> {
        let turns = Turns::new(at_once);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = asking
            .map(|name| {
                let (turns, order) = (turns.clone(), order.clone());
                tokio::spawn(async move {
                    let _turn = turns.take(agent(name)).await;
                    order.lock().push(name.to_owned());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(turns.0.lock().free, at_once, "every turn came back");
        assert!(turns.0.lock().waiting.is_empty());
        order.lock().clone()
    }

    /// Of a flood, only those are served first that had a turn already, and one more.
    #[tokio::test]
    async fn one_request_does_not_wait_behind_the_flood_of_another_principal() {
        for at_once in [1, 2, 8] {
            let flood = std::iter::repeat_n("flood", 1_000);
            let order = served(at_once, flood.chain(["single"])).await;
            assert_eq!(order.len(), 1_001);
            let place = order.iter().position(|name| name == "single").unwrap();
            assert!(place <= at_once + 1, "{place} of {at_once} at once");
        }
    }

    #[tokio::test]
    async fn principals_that_ask_for_much_are_served_in_turn() {
        let floods = ["a", "b", "c"].into_iter();
        let floods = floods.flat_map(|name| std::iter::repeat_n(name, 200));
        let order = served(1, floods).await;
        for names in order.get(3..303).unwrap().chunks(3) {
            let mut names = names.to_vec();
            names.sort();
            assert_eq!(names, ["a", "b", "c"]);
        }
    }

    #[tokio::test]
    async fn within_a_principal_the_first_is_first() {
        let turns = Turns::new(1);
        let held = turns.take(agent("a")).await;
        let places: Vec<_> = (0..5).map(|_| turns.line_up(agent("a"))).collect();
        drop(held);
        for place in places {
            // Each is served once the one before it is done, and not earlier.
            let mut place = place.err().unwrap();
            drop(place.try_recv().unwrap());
        }
        assert_eq!(turns.0.lock().free, 1);
    }

    #[tokio::test]
    async fn who_goes_away_takes_no_turn_along() {
        let turns = Turns::new(1);
        let held = turns.take(agent("a")).await;
        let gone = turns.line_up(agent("b")).err().unwrap();
        let mut waits = turns.line_up(agent("c")).err().unwrap();
        drop(gone);
        drop(held);
        let turn = waits.try_recv().unwrap();
        // Given, and not used.
        let given = turns.line_up(agent("d")).err().unwrap();
        drop(turn);
        drop(given);
        assert_eq!(turns.0.lock().free, 1);
    }

    /// Whoever asks and goes away again and again while nobody is served.
    #[tokio::test]
    async fn those_who_went_away_take_no_room() {
        let turns = Turns::new(1);
        let held = turns.take(agent("a")).await;
        let _waits = turns.line_up(agent("b")).err().unwrap();
        for _ in 0..10_000 {
            drop(turns.line_up(agent("b")));
        }
        let longest = turns.0.lock().waiting.values().map(VecDeque::len).max();
        assert!(longest.unwrap() <= 8, "{longest:?}");
        drop(held);
    }
}
