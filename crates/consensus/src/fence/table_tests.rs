use proptest::prelude::*;

use super::*;

const W: Duration = Duration::from_millis(2_445);
const V: Duration = Duration::from_millis(6_112);
const R: Revision = Revision(10);

fn at(ms: u64) -> BootTime {
    BootTime(ms * 1_000_000)
}

fn node(number: u64) -> NodeNumber {
    NodeNumber(number)
}

/// The `start`th process of any node.
fn process(start: u64) -> Process {
    Process {
        incarnation: 1,
        start,
        random: start * 7,
    }
}

fn report(start: u64, applied: u64) -> Report {
    Report {
        process: process(start),
        applied: Revision(applied),
        verifiers: Some(Revision(applied)),
    }
}

/// The table of a leader that began at `now` among three nodes.
fn led_since(now: BootTime) -> Table {
    let mut table = Table::default();
    begin(&mut table, 1, now);
    table
}

fn begin(table: &mut Table, term: u64, now: BootTime) {
    let outlives = W;
    let beginning = Beginning {
        term,
        now,
        outlives,
    };
    table.begin(&beginning, (1..=3).map(|number| (node(number), true)));
}

fn proved(table: &mut Table, number: u64, start: u64, now: BootTime) -> Result<(), NoHolder> {
    table.record(node(number), process(start), Revision(0), now, now.plus(W))
}

/// A table whose beginning has run out, and whose three nodes were given proofs at
/// `at(10_000)`.
fn settled() -> Table {
    let mut table = led_since(at(0));
    for number in 1..=3 {
        proved(&mut table, number, 1, at(10_000)).unwrap();
    }
    table
}

fn waiting(look: &Look) -> Vec<u64> {
    look.waiting_for.iter().map(|(node, _)| node.0).collect()
}

fn waited_out(look: &Look) -> Vec<u64> {
    look.waited_out.iter().map(|node| node.0).collect()
}

#[test]
fn a_change_is_in_force_when_every_holder_has_reported_it() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(10_100), V);
    for number in 1..=3 {
        assert!(waiting(&table.look(&change, at(10_101))).contains(&number));
        table.hear(node(number), report(1, 9));
        assert!(waiting(&table.look(&change, at(10_101))).contains(&number));
        table.hear(node(number), report(1, 10));
    }
    let look = table.look(&change, at(10_102));
    assert_eq!((waiting(&look), waited_out(&look)), (vec![], vec![]));
}

#[test]
fn a_holder_that_is_silent_is_waited_out_and_a_proof_that_came_later_is_not() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(10_100), V);
    for number in 1..=2 {
        table.hear(node(number), report(1, 10));
    }
    // What it is given now has a read index of R or later.
    proved(&mut table, 3, 1, at(12_000)).unwrap();
    assert_eq!(waiting(&table.look(&change, at(12_444))), [3]);
    let look = table.look(&change, at(12_445));
    assert_eq!((waiting(&look), waited_out(&look)), (vec![], vec![3]));
}

#[test]
fn who_asks_again_does_not_wait_for_a_proof_that_came_after_the_change() {
    let mut table = settled();
    for number in 1..=2 {
        table.hear(node(number), report(1, 10));
    }
    // Node 3 is given another when R is applied here, and is heard of no more.
    let given = at(12_000).plus(W);
    table
        .record(node(3), process(1), R, at(12_000), given)
        .unwrap();
    let again = table.outstanding(R, R, at(12_500), V);
    assert!(waiting(&table.look(&again, at(12_500))).is_empty());
    let later = table.outstanding(Revision(R.0 + 1), Revision(R.0 + 1), at(12_500), V);
    let look = table.look(&later, at(12_500));
    assert!(look.waiting_for.contains(&(node(3), given)));
}

#[test]
fn proofs_that_are_too_many_to_be_told_apart_are_waited_for_as_the_earliest() {
    let mut table = settled();
    for applied in 1..=2_000 {
        // Each of a shorter F than the one before.
        let until = at(40_000 - applied);
        table
            .record(node(3), process(1), Revision(applied), at(10_000), until)
            .unwrap();
    }
    let held = table.rows[&node(3)].held.as_ref().unwrap();
    assert_eq!(held.proofs.len(), MOST_PROOFS);
    let change = table.outstanding(Revision(1), Revision(2_000), at(10_100), V);
    let look = table.look(&change, at(39_998));
    assert_eq!(look.waiting_for, [(node(3), at(39_999))]);
}

#[test]
fn who_was_dead_for_long_is_not_waited_for() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(20_000), V);
    let look = table.look(&change, at(20_000));
    assert_eq!((waiting(&look), waited_out(&look)), (vec![], vec![]));
}

#[test]
fn a_later_process_says_that_the_one_before_it_is_dead() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(10_100), V);
    table.hear(node(3), report(2, 0));
    assert_eq!(waiting(&table.look(&change, at(10_101))), [1, 2]);
    // What a delayed packet of the dead one says changes nothing.
    assert!(!table.hear(node(3), report(1, 10)));
    let refused = proved(&mut table, 3, 1, at(10_102));
    assert_eq!(refused, Err(NoHolder::Earlier(process(1))));
}

#[test]
fn what_a_later_process_holds_itself_is_waited_for() {
    let mut table = settled();
    proved(&mut table, 3, 2, at(10_050)).unwrap();
    let change = table.outstanding(R, R, at(10_100), V);
    table.hear(node(3), report(2, 9));
    assert!(waiting(&table.look(&change, at(10_101))).contains(&3));
}

#[test]
fn a_new_leader_waits_for_every_node_and_any_process_of_it_will_do() {
    let mut table = settled();
    begin(&mut table, 2, at(10_050));
    let change = table.outstanding(R, R, at(10_100), V);
    assert_eq!(waiting(&table.look(&change, at(10_100))), [1, 2, 3]);
    table.hear(node(1), report(1, 10));
    // It was started again, and applied it since.
    table.hear(node(2), report(5, 10));
    table.hear(node(3), report(5, 9));
    assert_eq!(waiting(&table.look(&change, at(10_101))), [3]);
    let look = table.look(&change, at(12_495));
    assert_eq!((waiting(&look), waited_out(&look)), (vec![], vec![3]));
}

#[test]
fn the_same_term_begins_once() {
    let mut table = settled();
    begin(&mut table, 1, at(50_000));
    let change = table.outstanding(R, R, at(50_000), V);
    assert!(waiting(&table.look(&change, at(50_000))).is_empty());
}

#[test]
fn two_processes_on_copies_of_one_directory_do_not_both_serve() {
    let mut table = settled();
    let copy = Process {
        random: 99,
        ..process(1)
    };
    let refused = table.record(node(3), copy, Revision(0), at(10_100), at(10_100).plus(W));
    assert_eq!(refused, Err(NoHolder::Copy(copy)));
    let change = table.outstanding(R, R, at(10_100), V);
    let of_copy = Report {
        process: copy,
        ..report(1, 10)
    };
    assert!(!table.hear(node(3), of_copy) || !waiting(&table.look(&change, at(10_101))).is_empty());
    assert!(waiting(&table.look(&change, at(10_101))).contains(&3));
}

#[test]
fn who_gave_its_proofs_back_is_waited_for_no_more_and_gets_none() {
    let mut table = settled();
    let before = table.outstanding(R, R, at(10_100), V);
    table.end(node(3), report(1, 5), 1, at(10_200));
    let after = table.outstanding(R, R, at(10_200), V);
    for change in [&before, &after] {
        let look = table.look(change, at(10_201));
        assert_eq!((waiting(&look), waited_out(&look)), (vec![1, 2], vec![]));
    }
    // A question that was under way.
    let refused = proved(&mut table, 3, 1, at(10_202));
    assert_eq!(refused, Err(NoHolder::Ended(process(1))));
    proved(&mut table, 3, 2, at(10_300)).unwrap();
    let change = table.outstanding(R, R, at(10_400), V);
    assert!(waiting(&table.look(&change, at(10_400))).contains(&3));
}

#[test]
fn an_earlier_process_gives_nothing_back_for_a_later_one() {
    let mut table = settled();
    proved(&mut table, 3, 2, at(10_050)).unwrap();
    table.hear(node(3), report(2, 5));
    table.end(node(3), report(1, 5), 1, at(10_060));
    let change = table.outstanding(R, R, at(10_100), V);
    assert!(waiting(&table.look(&change, at(10_100))).contains(&3));
}

#[test]
fn verifiers_of_a_node_that_gave_its_proofs_back_are_waited_for() {
    let mut table = settled();
    table.end(node(3), report(1, 5), 1, at(10_200));
    let change = table.outstanding(R, R, at(11_000), V);
    let look = table.look(&change, at(11_000));
    assert!(!waiting(&look).contains(&3));
    let of_it = look.verifiers.iter().find(|(of, _)| *of == node(3));
    assert_eq!(of_it, Some(&(node(3), at(10_200).plus(V))));
}

#[test]
fn a_node_with_another_key_begins_anew_whatever_was_said_with_the_former() {
    let mut table = settled();
    let key = |byte: u8| KeyThumbprint::of_spki(&[byte]);
    table.known_by(node(3), key(1));
    table.hear(node(3), report(u64::MAX / 8, 9));
    table.known_by(node(3), key(1));
    assert!(proved(&mut table, 3, 2, at(10_100)).is_err());
    table.known_by(node(3), key(2));
    let change = table.outstanding(R, R, at(10_100), V);
    assert!(waiting(&table.look(&change, at(10_100))).contains(&3));
    proved(&mut table, 3, 2, at(10_200)).unwrap();
    table.hear(node(3), report(2, 10));
    // Whoever has the former key says nothing any more, and goes by its proof.
    assert!(waiting(&table.look(&change, at(12_444))).contains(&3));
    assert!(!waiting(&table.look(&change, at(12_445))).contains(&3));
}

#[test]
fn a_proof_that_lasted_longer_is_waited_for_though_a_shorter_one_came_after() {
    let mut table = settled();
    let longer = at(10_050).plus(2 * W);
    table
        .record(node(3), process(1), Revision(0), at(10_050), longer)
        .unwrap();
    proved(&mut table, 3, 1, at(10_060)).unwrap();
    let change = table.outstanding(R, R, at(10_100), V);
    let until = table.look(&change, at(10_100)).waiting_for.last().copied();
    assert_eq!(until, Some((node(3), longer)));
}

#[test]
fn verifiers_know_or_have_run_out_within_their_span_of_the_commit() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(10_100), V);
    for number in 1..=3 {
        let mut told = report(1, 10);
        if number == 2 {
            // It cannot tell: it began a moment ago.
            told.verifiers = None;
        }
        table.hear(node(number), told);
    }
    let nodes = |look: &Look| -> Vec<u64> { look.verifiers.iter().map(|(n, _)| n.0).collect() };
    assert_eq!(nodes(&table.look(&change, at(16_211))), [2]);
    assert!(nodes(&table.look(&change, at(16_212))).is_empty());
    table.hear(node(2), report(1, 10));
    assert!(nodes(&table.look(&change, at(10_200))).is_empty());
}

#[test]
fn verifiers_of_a_node_that_died_run_out_after_it_could_have_answered_them() {
    let mut table = settled();
    // Its last proof ran out at 12,445.
    let change = table.outstanding(R, R, at(15_000), V);
    let until = |number: usize| change.verifiers[number].1;
    assert_eq!(until(2), at(12_445).plus(V));
    let long_dead = table.outstanding(R, R, at(20_000), V);
    assert!(long_dead.verifiers.is_empty());
}

#[test]
fn who_asks_again_waits_for_verifiers_no_longer() {
    let mut table = settled();
    let first = table.outstanding(R, R, at(10_100), V);
    let until = |change: &Outstanding| change.verifiers[2].1;
    assert_eq!(until(&first), at(10_100).plus(V));
    // Node 3 starts again and again, and cannot tell what its verifiers know.
    for start in 2..6 {
        let now = at(10_100 + start * 1_000);
        proved(&mut table, 3, start, now).unwrap();
        let later = Revision(10 + start);
        let again = table.outstanding(R, later, now, V);
        assert_eq!(until(&again), at(10_100).plus(V), "start {start}");
        let other = table.outstanding(later, later, now, V);
        assert_eq!(until(&other), now.plus(V), "of what was applied now");
    }
}

#[test]
fn when_many_changes_were_applied_is_known_to_a_grain_and_takes_little_room() {
    let mut table = settled();
    for ms in 0..20_000 {
        let revision = Revision(100 + ms);
        table.outstanding(revision, revision, at(10_000 + ms), V);
        let ago = Revision(revision.0.saturating_sub(3_000).max(100));
        let known = table.reached_by(ago, at(10_000 + ms));
        let truly = at(10_000 + ago.0 - 100);
        assert!(known >= truly, "never before it was");
        assert!(known <= truly.plus(V / GRAINS * 2), "{ago} at {known:?}");
        assert!(table.reached.len() <= 2 * GRAINS as usize + 2);
    }
}

#[test]
fn proofs_of_a_node_that_applies_nothing_do_not_hold_up_who_asks_later() {
    let mut table = led_since(at(0));
    // F is long, or the tick short: more proofs within W than are kept apart.
    let lasts = W * 40;
    for ms in 0..100_000 {
        let now = at(10_000 + ms);
        let applied = Revision(100 + ms);
        table
            .record(node(3), process(1), applied, now, now.plus(lasts))
            .unwrap();
    }
    let held = table.rows[&node(3)].held.as_ref().unwrap();
    assert!(held.proofs.len() <= MOST_PROOFS);
    let change = table.outstanding(Revision(101), Revision(200_000), at(110_000), V);
    // Of the first proof, and what is taken together with it.
    let until = change.holders.iter().map(|(_, _, until)| *until).max();
    assert!(
        until <= Some(at(10_000).plus(lasts).plus(lasts / GRAINS)),
        "{until:?}"
    );
}

#[test]
fn what_was_in_force_stays_so_whoever_asks_and_whoever_leads() {
    let mut table = settled();
    let change = table.outstanding(R, R, at(10_100), V);
    for number in 1..=3 {
        table.hear(node(number), report(1, 10));
    }
    assert_eq!(table.look(&change, at(10_101)), Look::default());
    // Another process of node 3 has lost what was not on its disk; and another term begins.
    table.hear(node(3), report(2, 9));
    begin(&mut table, 2, at(10_200));
    let again = table.outstanding(R, R, at(10_201), V);
    assert_eq!(table.look(&again, at(10_201)), Look::default());
    let next = Revision(11);
    let next = table.outstanding(next, next, at(10_201), V);
    assert_eq!(waiting(&table.look(&next, at(10_201))), [1, 2, 3]);
}

#[test]
fn a_node_that_was_removed_serves_nothing_and_its_verifiers_are_waited_for() {
    let mut table = Table::default();
    let beginning = Beginning {
        term: 4,
        now: at(1_000),
        outlives: W,
    };
    table.begin(&beginning, [(node(9), false)].into_iter());
    let change = table.outstanding(R, R, at(1_100), V);
    let look = table.look(&change, at(1_100));
    assert!(look.waiting_for.is_empty());
    assert_eq!(look.verifiers, [(node(9), at(1_000).plus(V))]);
}

/// What happens among a leader and three nodes.
#[derive(Clone, Debug)]
enum Happens {
    /// A node asks, the leader records and answers; the answer comes so much later, or
    /// is lost with the process.
    Asks {
        node: u64,
        late_ms: u64,
        /// F: for how long it serves after it asked.
        f_ms: u64,
    },
    Restarts(u64),
    /// It applies all that is committed; and reports.
    Applies(u64),
    Reports {
        node: u64,
        late: bool,
    },
    GivesBack(u64),
    /// What a process said to a former leader when it ended comes only now.
    EndComesLate(u64),
    Commits,
    /// Of this leader again, or of another that this one hears nothing of.
    AnotherTerm {
        elsewhere: bool,
    },
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        5 => (1..=3_u64, 0..900_u64, prop_oneof![Just(1_000_u64), Just(2_000)])
            .prop_map(|(node, late_ms, f_ms)| Happens::Asks { node, late_ms, f_ms }),
        1 => (1..=3_u64).prop_map(Happens::Restarts),
        3 => (1..=3_u64).prop_map(Happens::Applies),
        3 => (1..=3_u64, any::<bool>()).prop_map(|(node, late)| Happens::Reports { node, late }),
        1 => (1..=3_u64).prop_map(Happens::GivesBack),
        1 => (1..=3_u64).prop_map(Happens::EndComesLate),
        2 => Just(Happens::Commits),
        2 => any::<bool>().prop_map(|elsewhere| Happens::AnotherTerm { elsewhere }),
        5 => (1..900_u64).prop_map(Happens::Passes),
    ]
}

/// A running process, as it really is. All clocks run alike here: rates are the
/// simulation's to vary, and W has room for them.
#[derive(Clone)]
struct Really {
    start: u64,
    applied: u64,
    /// Proofs on their way: when they come, until when they last, and the read index.
    coming: Vec<(u64, u64, u64)>,
    /// Until when it serves.
    serves_until: u64,
    ended: bool,
    /// A report of it that the network holds up.
    held_up: Option<Report>,
    /// What a process of its node said when it ended, and to the leader of which term.
    end_held_up: Option<(u64, Report)>,
}

impl Really {
    fn born(start: u64) -> Self {
        Self {
            start,
            applied: 0,
            coming: Vec::new(),
            serves_until: 0,
            ended: false,
            held_up: None,
            end_held_up: None,
        }
    }

    /// Takes the proofs that came by now, and whose read index it has applied.
    fn take_proofs(&mut self, now: u64) {
        let (applied, ended) = (self.applied, self.ended);
        let mut serves_until = self.serves_until;
        self.coming.retain(|(comes, until, index)| {
            if *comes <= now && *index <= applied && !ended {
                serves_until = serves_until.max(*until);
                return false;
            }
            true
        });
        self.serves_until = serves_until;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever happens: when a change is said to be in force, no process that runs may
    /// still serve without it, then or later.
    #[test]
    fn in_force_is_never_said_too_soon(story in prop::collection::vec(happens(), 1..80)) {
        let (mut now, mut committed, mut term) = (100_000_u64, 0_u64, 1);
        let mut elsewhere = false;
        let mut table = Table::default();
        begin(&mut table, term, at(now));
        let mut nodes: Vec<Really> = (0..3).map(|_| Really::born(1)).collect();
        // And the terms that they were copied in.
        let mut changes: Vec<(u64, Outstanding)> = Vec::new();
        for event in story {
            match event {
                Happens::Asks { node: number, late_ms, f_ms } => {
                    let really = &mut nodes[number as usize - 1];
                    let asks = process(really.start);
                    // W of this F, with all the room that it has.
                    let until = at(now).plus(W * u32::try_from(f_ms).unwrap() / 2_000);
                    let given = elsewhere
                        || table.record(node(number), asks, Revision(committed), at(now), until).is_ok();
                    if given && !really.ended {
                        really.coming.push((now + late_ms, now + f_ms, committed));
                    }
                }
                Happens::Restarts(number) => {
                    let really = &mut nodes[number as usize - 1];
                    let former = really.clone();
                    *really = Really {
                        held_up: former.held_up,
                        end_held_up: former.end_held_up,
                        ..Really::born(former.start + 1)
                    };
                }
                Happens::Applies(number) => nodes[number as usize - 1].applied = committed,
                Happens::Reports { node: number, late } => {
                    let really = &mut nodes[number as usize - 1];
                    let said = report(really.start, really.applied);
                    let heard = if elsewhere {
                        None
                    } else if late { really.held_up.replace(said) } else { Some(said) };
                    if let Some(heard) = heard {
                        table.hear(node(number), heard);
                    }
                }
                Happens::GivesBack(number) => {
                    let really = &mut nodes[number as usize - 1];
                    (really.ended, really.serves_until) = (true, 0);
                    let said = (term, report(really.start, really.applied));
                    really.end_held_up = Some(said);
                    if !elsewhere {
                        table.end(node(number), said.1, term, at(now));
                    }
                }
                Happens::EndComesLate(number) => {
                    let held_up = nodes[number as usize - 1].end_held_up;
                    if let (false, Some((said_in, said))) = (elsewhere, held_up) {
                        table.end(node(number), said, said_in, at(now));
                    }
                }
                Happens::Commits => {
                    committed += 1;
                    if elsewhere {
                        continue;
                    }
                    let applied = Revision(committed);
                    changes.push((term, table.outstanding(applied, applied, at(now), V)));
                }
                Happens::AnotherTerm { elsewhere: goes_elsewhere } => {
                    // Of a leader that another follows every question came before.
                    term += 1;
                    elsewhere = goes_elsewhere;
                    if !elsewhere {
                        begin(&mut table, term, at(now));
                    }
                }
                Happens::Passes(ms) => now += ms,
            }
            for really in &mut nodes {
                really.take_proofs(now);
            }
            for (copied_in, change) in &changes {
                let mut look = table.look(change, at(now));
                if !elsewhere {
                    // Who asks again is told the same, and no later.
                    let applied = Revision(committed);
                    let again = table.outstanding(change.revision, applied, at(now), V);
                    let told = table.look(&again, at(now));
                    if *copied_in == term {
                        let last = |rows: &[(NodeNumber, BootTime)]| {
                            rows.iter().map(|(_, until)| *until).max().unwrap_or(at(0))
                        };
                        let first = change.holders.iter().map(|(_, _, until)| *until).max();
                        // By what is taken together with a proof of before.
                        let first = first.unwrap_or(at(0)).plus(W / GRAINS);
                        prop_assert!(last(&told.waiting_for) <= first);
                        // A node may be given its first proof in this term later.
                        let since = change.asked.plus(V).plus(V / GRAINS);
                        prop_assert!(last(&told.verifiers) <= since);
                    }
                    if told.waiting_for.is_empty() {
                        look.waiting_for.clear();
                    }
                }
                if !look.waiting_for.is_empty() {
                    continue;
                }
                for (index, really) in nodes.iter_mut().enumerate() {
                    let covered = Revision(really.applied) >= change.revision;
                    let serves = !really.ended && really.serves_until > now;
                    prop_assert!(covered || !serves, "node {} at {now}: {change:?}", index + 1);
                    // Nor by a proof that is still on its way.
                    let late = really.coming.iter().any(|(_, until, read)| {
                        !really.ended && *until > now && Revision(*read) < change.revision
                    });
                    prop_assert!(covered || !late, "node {} later: {change:?}", index + 1);
                }
            }
        }
    }
}
