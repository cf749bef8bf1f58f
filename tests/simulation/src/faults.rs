//! What goes wrong, drawn from the seed.

use chancery_storage::simulated::{Crash, Moment};

/// One thing that goes wrong, for so long (microseconds).
#[derive(Clone, Debug)]
pub enum Fault {
    /// A process ends, or a machine loses power; it starts again later.
    Crash(u64, Crash, u64),
    /// A machine loses power just when that has come on its disk the next time.
    Ambush(u64, Moment, u64),
    /// All of them at once.
    Blackout(Crash, u64),
    /// A process gives back what others would wait for, ends in order, and starts again.
    Drain(u64, u64),
    /// SIGSTOP: nothing runs, and the boot clock goes on.
    Pause(u64, u64),
    /// A node is cut off from all others.
    Isolate(u64, u64),
    /// One direction of one link.
    CutOneWay(u64, u64, u64),
    /// Two halves that share one node.
    Bridge(Vec<u64>, u64, Vec<u64>, u64),
    /// Two halves.
    Split(Vec<u64>, Vec<u64>, u64),
    /// One direction of a link takes so long.
    Slow(u64, u64, u64, u64),
    /// All connections between two nodes end.
    Reset(u64, u64),
    /// A disk takes so long to sync.
    SlowDisk(u64, u64, u64),
    /// A boot clock runs at another rate, for good.
    Rate(u64, u64),
    /// A wall clock is set, by so many milliseconds, for so long.
    Wall(u64, i64, u64),
}

/// Rates that a clock may have.
pub const RATES: std::ops::RangeInclusive<u64> = 900_000..=1_100_000;

/// How likely what is in a run.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub crashes: u32,
    pub pauses: u32,
    pub cuts: u32,
    pub slowness: u32,
    pub clocks: u32,
    /// Between two faults, milliseconds, on average.
    pub pause_ms: u64,
}

impl Weather {
    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let mut share = || random.u32(0..5);
        let (crashes, pauses, cuts, slowness, clocks) =
            (share(), share(), share(), share(), share());
        Self {
            crashes: crashes + 1,
            pauses,
            cuts: cuts + 1,
            slowness,
            clocks,
            pause_ms: random.u64(150..2_500),
        }
    }
}

impl Fault {
    /// Who leads is hit more often than others.
    pub fn draw(
        random: &mut fastrand::Rng,
        weather: &Weather,
        nodes: &[u64],
        leader: Option<u64>,
    ) -> Option<Self> {
        let leader = leader.filter(|leader| nodes.contains(leader) && random.u8(0..5) < 2);
        let one = leader.or_else(|| random.choice(nodes).copied())?;
        let Weather {
            crashes,
            pauses,
            cuts,
            slowness,
            clocks,
            ..
        } = *weather;
        let mut left = random.u32(0..crashes + pauses + cuts + slowness + clocks);
        for (share, draw) in [
            (crashes, Self::crash as Draw),
            (pauses, Self::pause),
            (cuts, Self::cut),
            (slowness, Self::slow),
            (clocks, Self::clock),
        ] {
            if left < share {
                return Some(draw(random, one, nodes));
            }
            left -= share;
        }
        None
    }

    /// What happens to a verifier, which has no disk.
    pub fn draw_of_verifier(
        random: &mut fastrand::Rng,
        verifier: u64,
        nodes: &[u64],
    ) -> Option<Self> {
        let node = random.choice(nodes).copied()?;
        let span = random.u64(100_000..6_000_000);
        let (from, to) = if random.bool() {
            (verifier, node)
        } else {
            (node, verifier)
        };
        Some(match random.u8(0..8) {
            0 => Self::Crash(verifier, Crash::Process, span),
            1 => Self::Pause(verifier, span),
            2 => Self::Isolate(verifier, span),
            3 => Self::CutOneWay(from, to, span),
            4 => Self::Slow(from, to, random.u64(5_000..400_000), span),
            5 => Self::Reset(verifier, node),
            _ => Self::clock(random, verifier, nodes),
        })
    }

    fn crash(random: &mut fastrand::Rng, one: u64, _: &[u64]) -> Self {
        let how = if random.bool() {
            Crash::Process
        } else {
            Crash::Power
        };
        let away = random.u64(1_000..4_000_000);
        match random.u8(0..12) {
            0 => Self::Blackout(how, away),
            1 | 2 => Self::Drain(one, away),
            3..6 => {
                let moments = [Moment::Vote, Moment::Vote, Moment::Purge, Moment::Install];
                let moment = random.choice(moments).unwrap_or(Moment::Vote);
                Self::Ambush(one, moment, away)
            }
            _ => Self::Crash(one, how, away),
        }
    }

    fn pause(random: &mut fastrand::Rng, one: u64, _: &[u64]) -> Self {
        Self::Pause(one, random.u64(100_000..6_000_000))
    }

    fn cut(random: &mut fastrand::Rng, one: u64, nodes: &[u64]) -> Self {
        let span = random.u64(100_000..6_000_000);
        let other = random.choice(nodes).copied().unwrap_or(one);
        match random.u8(0..5) {
            0 | 1 => Self::Isolate(one, span),
            2 => Self::CutOneWay(one, other, span),
            3 => {
                let others: Vec<u64> = nodes.iter().copied().filter(|node| *node != one).collect();
                let (mut half, mut rest) = halves(random, &others);
                if half.len() > rest.len() {
                    std::mem::swap(&mut half, &mut rest);
                }
                half.push(one);
                Self::Split(half, rest, span)
            }
            _ => {
                let others: Vec<u64> = nodes.iter().copied().filter(|node| *node != one).collect();
                let (half, rest) = halves(random, &others);
                Self::Bridge(half, one, rest, span)
            }
        }
    }

    fn slow(random: &mut fastrand::Rng, one: u64, nodes: &[u64]) -> Self {
        let span = random.u64(200_000..5_000_000);
        let other = random.choice(nodes).copied().unwrap_or(one);
        match random.u8(0..4) {
            0 => Self::Reset(one, other),
            1 => Self::SlowDisk(one, random.u64(2_000..200_000), span),
            _ => Self::Slow(one, other, random.u64(5_000..400_000), span),
        }
    }

    fn clock(random: &mut fastrand::Rng, one: u64, _: &[u64]) -> Self {
        if random.bool() {
            // The ends are what matters most.
            let rate = match random.u8(0..4) {
                0 => *RATES.start(),
                1 => *RATES.end(),
                _ => random.u64(RATES),
            };
            Self::Rate(one, rate)
        } else {
            let by = random.i64(-12_000..12_000);
            Self::Wall(one, by, random.u64(500_000..8_000_000))
        }
    }
}

type Draw = fn(&mut fastrand::Rng, u64, &[u64]) -> Fault;

fn halves(random: &mut fastrand::Rng, nodes: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let mut nodes = nodes.to_vec();
    random.shuffle(&mut nodes);
    let half = random.usize(0..=nodes.len());
    let rest = nodes.split_off(half);
    (nodes, rest)
}
