//! Looks at every node at a pace, from a thread of its own, and writes down what it
//! saw.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    nodes::{HELD, Metrics, Process, Seen, metric},
    rig::Rig,
};

/// One look at all nodes.
#[derive(Clone)]
pub struct Sample {
    pub at: Instant,
    /// Since it began.
    pub after: Duration,
    pub nodes: Vec<(String, Process)>,
}

/// Looks until it is told to end.
pub struct Sampler {
    nodes: Vec<Seen>,
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: mpsc::Sender<()>,
    looking: JoinHandle<()>,
}

impl Sampler {
    pub fn begin(rig: &Rig, every: Duration, csv: &Path) -> Self {
        let nodes: Vec<Seen> = rig.cluster.nodes.iter().map(Seen::of).collect();
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let (stop, stopped) = mpsc::channel();
        let mut csv = BufWriter::new(File::create(csv).unwrap());
        let columns = HELD.map(|name| name.replace('"', ""));
        writeln!(
            csv,
            "seconds,node,rss_kib,anon_kib,files,threads,cpu_ms,{}",
            columns.join(",")
        )
        .unwrap();
        let looking = {
            let (nodes, samples) = (nodes.clone(), samples.clone());
            std::thread::spawn(move || {
                let began = Instant::now();
                while stopped.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let sample = look(&nodes, began, &mut csv);
                    samples.lock().unwrap().push(sample);
                }
            })
        };
        Self {
            nodes,
            samples,
            stop,
            looking,
        }
    }

    /// What each node's metrics say now.
    pub fn metrics(&self) -> Vec<Metrics> {
        self.nodes.iter().map(Seen::metrics).collect()
    }

    /// The most that each node took in that time, KiB.
    pub fn most_between(&self, from: Instant, to: Instant) -> Vec<u64> {
        let samples = self.samples.lock().unwrap();
        let within = || samples.iter().filter(|it| (from..to).contains(&it.at));
        let most = |position: usize| {
            let seen = within().filter_map(|sample| sample.nodes.get(position));
            seen.map(|(_, process)| process.rss_kib).max().unwrap_or(0)
        };
        (0..self.nodes.len()).map(most).collect()
    }

    /// How much of one processor all nodes together used in that time.
    pub fn cpu_between(&self, from: Instant, to: Instant) -> f64 {
        let samples = self.samples.lock().unwrap();
        let mut within = samples.iter().filter(|it| (from..to).contains(&it.at));
        let used = |sample: &Sample| -> u64 {
            let nodes = sample.nodes.iter();
            nodes.map(|(_, process)| process.cpu_ms).sum()
        };
        let (Some(first), Some(last)) = (within.next(), within.next_back()) else {
            return f64::NAN;
        };
        let used = Duration::from_millis(used(last).saturating_sub(used(first)));
        used.as_secs_f64() / (last.at - first.at).as_secs_f64()
    }

    pub fn end(self) -> Vec<Sample> {
        let _ = self.stop.send(());
        self.looking.join().unwrap();
        std::mem::take(&mut *self.samples.lock().unwrap())
    }
}

fn look(nodes: &[Seen], began: Instant, csv: &mut impl Write) -> Sample {
    let after = began.elapsed();
    let mut seen = Vec::new();
    for node in nodes {
        let Some(process) = node.process() else {
            println!("{} is gone", node.name);
            continue;
        };
        let metrics = node.metrics();
        let held: Vec<String> = HELD
            .iter()
            .map(|name| metric(&metrics, name).to_string())
            .collect();
        writeln!(
            csv,
            "{},{},{},{},{},{},{},{}",
            after.as_secs(),
            node.name,
            process.rss_kib,
            process.anon_kib,
            process.files,
            process.threads,
            process.cpu_ms,
            held.join(",")
        )
        .unwrap();
        seen.push((node.name.clone(), process));
    }
    csv.flush().unwrap();
    Sample {
        at: Instant::now(),
        after,
        nodes: seen,
    }
}
