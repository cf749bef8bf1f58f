//! Processes that each simulate a seed, as many at once as there are cores.

use std::{
    collections::BTreeMap,
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use chancery_mutation::Mutation;

/// What a process said in its last line.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub simulated_us: u64,
    pub faults: u64,
    pub checks: u64,
    pub verifications: u64,
    pub writes: u64,
    pub failed: bool,
    pub sum: String,
    pub text: String,
}

impl Said {
    fn of(stdout: &[u8], stderr: &[u8], succeeded: bool) -> Self {
        let text = String::from_utf8_lossy(stdout).into_owned();
        let last = text.lines().last().unwrap_or_default().to_owned();
        let words: Vec<&str> = last.split_whitespace().collect();
        let word = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1).copied()
        };
        let number = |name: &str| word(name).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut said = Self {
            simulated_us: number("simulated_us"),
            faults: number("faults"),
            checks: number("checks"),
            verifications: number("verifications"),
            writes: number("writes"),
            failed: !succeeded,
            sum: word("sum").unwrap_or_default().to_owned(),
            text: text.clone(),
        };
        if said.sum.is_empty() {
            said.text += &String::from_utf8_lossy(stderr);
        }
        said
    }

    pub fn first_violation(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// What a process has written, once it writes no more.
type Written = (u64, Vec<u8>, Vec<u8>);

/// Processes under way.
pub struct Crew {
    jobs: usize,
    begun: u64,
    under_way: BTreeMap<u64, (u64, Child)>,
    written: (mpsc::Sender<Written>, mpsc::Receiver<Written>),
}

impl Crew {
    pub fn of(jobs: Option<usize>) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            jobs: jobs.unwrap_or_else(cores).max(1),
            begun: 0,
            under_way: BTreeMap::new(),
            written: mpsc::channel(),
        }
    }

    pub fn begin(&mut self, seed: u64, seconds: u64, mutation: Option<Mutation>) {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command
            .args(["run", "--seed", &seed.to_string()])
            .args(["--seconds", &seconds.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(mutation) = mutation {
            command.args(["--mutation", mutation.name()]);
        }
        let mut child = command.spawn().expect("a process for a seed");
        self.begun += 1;
        let (turn, written) = (self.begun, self.written.0.clone());
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let said = std::thread::spawn(|| read_all(stderr));
        std::thread::spawn(move || {
            let stdout = read_all(stdout);
            let stderr = said.join().unwrap_or_default();
            // Nobody reads it when the rest was given up.
            let _ = written.send((turn, stdout, stderr));
        });
        self.under_way.insert(turn, (seed, child));
    }

    /// What the next one to end said; none when nothing is under way.
    pub fn end_one(&mut self) -> Option<(u64, Said)> {
        if self.under_way.is_empty() {
            return None;
        }
        loop {
            let (turn, stdout, stderr) = self.written.1.recv().ok()?;
            // Of one that was given up.
            let Some((seed, mut child)) = self.under_way.remove(&turn) else {
                continue;
            };
            let status = child.wait().expect("how a process ended");
            return Some((seed, Said::of(&stdout, &stderr, status.success())));
        }
    }

    pub fn is_full(&self) -> bool {
        self.under_way.len() >= self.jobs
    }

    pub fn give_up(&mut self) {
        for (_, child) in self.under_way.values_mut() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.under_way.clear();
    }
}

fn read_all(mut pipe: impl std::io::Read) -> Vec<u8> {
    let mut written = Vec::new();
    // What cannot be read ends with what was.
    let _ = pipe.read_to_end(&mut written);
    written
}
