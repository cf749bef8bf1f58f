//! What can be asked of the simulator. One process simulates one seed; whoever wants
//! many starts many.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use chancery_mutation::Mutation;
use clap::{Args, Parser, Subcommand};

use crate::{
    crew::{Crew, Said},
    plan::Plan,
    world::{Report, World},
};

/// Simulates a cluster under faults, from a seed
#[derive(Parser)]
#[command(name = "simulation", version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Simulate one seed, and say what came of it
    Run(Run),
    /// Simulate seed after seed on all cores, for so long
    Soak(Soak),
    /// Let the cluster make each mistake, until the oracle notices
    Hunt(Hunt),
    /// List the mistakes that can be made
    Mutations,
    /// Simulate seeds twice each: both times the same has to happen
    Same {
        /// Which
        #[arg(default_values_t = [1, 2, 3])]
        seeds: Vec<u64>,
        /// How long faults go on, in simulated seconds
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
}

#[derive(Args)]
struct Run {
    /// All chances follow from it
    #[arg(long)]
    seed: u64,
    /// How long faults go on, in simulated seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A mistake to make
    #[arg(long)]
    mutation: Option<Mutation>,
    /// Show what happens
    #[arg(long)]
    trace: bool,
    /// Show what the product logs (as `RUST_LOG` takes it)
    #[arg(long)]
    log: Option<String>,
}

#[derive(Args)]
struct Soak {
    /// How long, in real hours
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// End after so many seeds, if the time is not over before
    #[arg(long, default_value_t = u64::MAX)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How long faults go on in each, in simulated seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Processes at once; all cores unless told
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Args)]
struct Hunt {
    /// Which mistakes; all unless told
    mutations: Vec<Mutation>,
    /// Give up after so many seeds
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Give up after so long, in minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How long faults go on in each, in simulated seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Processes at once; all cores unless told
    #[arg(long)]
    jobs: Option<usize>,
}

pub fn run() -> ExitCode {
    match Cli::parse().what {
        What::Run(run) => simulate(&run),
        What::Soak(soak) => soak_for(&soak),
        What::Hunt(hunt) => hunt_for(&hunt),
        What::Mutations => {
            for mutation in Mutation::ALL {
                println!("{:<18} {}", mutation.name(), mutation.what());
            }
            ExitCode::SUCCESS
        }
        What::Same { seeds, seconds } => are_the_same(&seeds, seconds),
    }
}

fn simulate(run: &Run) -> ExitCode {
    if let Some(filter) = &run.log {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .with_writer(std::io::stderr)
            .init();
    }
    if let Some(mutation) = run.mutation {
        chancery_mutation::make(mutation);
    }
    let began = Instant::now();
    let report = World::new(Plan::of(run.seed, run.seconds), run.trace).run();
    print(run.seed, &report, began.elapsed());
    // A mistake that nobody noticed is told from one that was by this.
    ExitCode::from(u8::from(!report.violations.is_empty()))
}

fn print(seed: u64, report: &Report, took: Duration) {
    for violation in &report.violations {
        println!("violation {violation}");
    }
    let Report {
        simulated_us,
        counts,
        violations,
        sum,
    } = report;
    println!(
        "seed {seed} simulated_us {simulated_us} faults {} writes {} unknown {} mints {} checks {} \
         accepted {} stale {} proofs {} enforced {} in_verifiers {} verifications {} verified {} \
         violations {} took_ms {} sum {sum:016x}",
        counts.faults,
        counts.writes,
        counts.unknown,
        counts.mints,
        counts.checks,
        counts.accepted,
        counts.stale,
        counts.proofs,
        counts.enforced,
        counts.enforced_in_verifiers,
        counts.verifications,
        counts.verified,
        violations.len(),
        took.as_millis(),
    );
}

#[derive(Default)]
struct Sums {
    seeds: u64,
    simulated_us: u64,
    faults: u64,
    checks: u64,
    verifications: u64,
    writes: u64,
    violations: u64,
}

impl Sums {
    fn add(&mut self, seed: u64, said: &Said) {
        self.seeds += 1;
        self.simulated_us += said.simulated_us;
        self.faults += said.faults;
        self.checks += said.checks;
        self.verifications += said.verifications;
        self.writes += said.writes;
        if said.failed {
            self.violations += 1;
            println!("seed {seed} failed:\n{}", said.text);
        }
    }

    fn print(&self, took: Duration) {
        println!(
            "seeds {} simulated hours {:.3} faults {} writes {} checks {} verifications {} \
             violations {} took {:.0} s",
            self.seeds,
            self.simulated_us as f64 / 3.6e9,
            self.faults,
            self.writes,
            self.checks,
            self.verifications,
            self.violations,
            took.as_secs_f64(),
        );
    }
}

fn soak_for(soak: &Soak) -> ExitCode {
    let began = Instant::now();
    let limit = Duration::from_secs_f64(soak.hours * 3_600.0);
    let mut crew = Crew::of(soak.jobs);
    let mut sums = Sums::default();
    let mut next = soak.from;
    let mut told = Instant::now();
    loop {
        let goes_on = began.elapsed() < limit && next - soak.from < soak.seeds;
        if goes_on && !crew.is_full() {
            crew.begin(next, soak.seconds, None);
            next += 1;
            continue;
        }
        let Some((seed, said)) = crew.end_one() else {
            break;
        };
        sums.add(seed, &said);
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            sums.print(began.elapsed());
        }
    }
    sums.print(began.elapsed());
    ExitCode::from(u8::from(sums.violations > 0))
}

fn hunt_for(hunt: &Hunt) -> ExitCode {
    let all = if hunt.mutations.is_empty() {
        Mutation::ALL
    } else {
        hunt.mutations.as_slice()
    };
    let mut missed = 0;
    println!("| mutation | what is done wrong | seeds | seconds | seed | found as |");
    println!("|---|---|---|---|---|---|");
    for mutation in all {
        let found = hunt_one(hunt, *mutation);
        missed += u8::from(!found);
    }
    ExitCode::from(missed)
}

fn hunt_one(hunt: &Hunt, mutation: Mutation) -> bool {
    let began = Instant::now();
    let limit = Duration::from_secs(hunt.minutes * 60);
    let mut crew = Crew::of(hunt.jobs);
    let (mut next, mut looked) = (hunt.from, 0_u64);
    let what = mutation.what();
    loop {
        let goes_on = began.elapsed() < limit && next - hunt.from < hunt.seeds;
        if goes_on && !crew.is_full() {
            crew.begin(next, hunt.seconds, Some(mutation));
            next += 1;
            continue;
        }
        let Some((seed, said)) = crew.end_one() else {
            break;
        };
        looked += 1;
        if said.failed {
            crew.give_up();
            let seconds = began.elapsed().as_secs_f64();
            let first: String = said.first_violation().chars().take(140).collect();
            println!("| `{mutation}` | {what} | {looked} | {seconds:.0} | {seed} | {first} |");
            return true;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("| `{mutation}` | {what} | {looked} | {seconds:.0} | – | **not found** |");
    false
}

fn are_the_same(seeds: &[u64], seconds: u64) -> ExitCode {
    let mut differ = false;
    for seed in seeds {
        let mut crew = Crew::of(None);
        crew.begin(*seed, seconds, None);
        crew.begin(*seed, seconds, None);
        let said: Vec<Said> = std::iter::from_fn(|| crew.end_one())
            .map(|(_, said)| said)
            .collect();
        let same = said.iter().all(|one| !one.failed && one.sum == said[0].sum);
        println!(
            "seed {seed}: {}",
            said.iter()
                .map(|one| one.sum.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        );
        if !same {
            differ = true;
            for one in &said {
                println!("{}", one.text);
            }
        }
    }
    ExitCode::from(u8::from(differ))
}
