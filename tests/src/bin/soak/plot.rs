//! The memory of each node over the time, drawn in characters, and the judgement.

use std::time::Duration;

use crate::samples::Sample;

const COLUMNS: usize = 60;
const ROWS: usize = 12;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// What may be there at the end beyond what was there after the warm-up: a tenth and
/// this many KiB. In the first sixth what the warm-up left settles, caches and memtables
/// fill, and threads take their arenas.
const BESIDES_KIB: f64 = 16.0 * 1024.0;
const TENTH: f64 = 0.1;
const SIXTHS: u32 = 6;

/// RssAnon of one node, KiB, with when it was seen.
type Series = Vec<(Duration, f64)>;

fn series(samples: &[Sample]) -> Vec<(String, Series)> {
    let Some(first) = samples.first() else {
        return Vec::new();
    };
    let of = |name: &String| -> Series {
        let seen = samples.iter().filter_map(|sample| {
            let (_, process) = sample.nodes.iter().find(|(node, _)| node == name)?;
            Some((sample.after, kib(process.anon_kib)))
        });
        seen.collect()
    };
    let names = first.nodes.iter().map(|(name, _)| name);
    names.map(|name| (name.clone(), of(name))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a plot is no ledger")]
fn kib(number: u64) -> f64 {
    number as f64
}

/// The values seen in part `part` of `parts` of the run.
fn part(series: &Series, length: Duration, part: usize, parts: usize) -> Vec<f64> {
    let parts = u32::try_from(parts).unwrap();
    let from = length * u32::try_from(part).unwrap() / parts;
    let to = from + length / parts;
    let within = series.iter().filter(|(at, _)| (from..to).contains(at));
    within.map(|(_, value)| *value).collect()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[expect(clippy::cast_precision_loss, reason = "a plot is no ledger")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn mib(kib: f64) -> f64 {
    kib / 1024.0
}

/// A line of bars a node, and its least and most in each twelfth of the time.
pub fn draw(samples: &[Sample], length: Duration) {
    let all = series(samples);
    let every = length.as_secs_f64() / 60.0;
    println!(
        "\nRssAnon, each column {:.2} minutes",
        every / kib(COLUMNS as u64)
    );
    for (name, series) in &all {
        let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
        let top = most(&values);
        let bars: String = (0..COLUMNS)
            .map(|column| part(series, length, column, COLUMNS))
            .map(|values| bar(&values, top))
            .collect();
        println!("{name} 0 to {:6.1} MiB {bars}", mib(top));
    }
    print!("\n{:<16}", "minutes");
    for (name, _) in &all {
        print!("{:>24}", format!("{name} least .. most MiB"));
    }
    println!();
    for row in 0..ROWS {
        let at = |row: usize| every * kib(row as u64) / kib(ROWS as u64);
        print!("{:<16}", format!("{:.1} to {:.1}", at(row), at(row + 1)));
        for (_, series) in &all {
            let values = part(series, length, row, ROWS);
            let span = format!("{:.1} .. {:.1}", mib(least(&values)), mib(most(&values)));
            print!("{span:>24}");
        }
        println!();
    }
}

/// From nothing to the most that was seen.
fn bar(values: &[f64], top: f64) -> char {
    if values.is_empty() {
        return ' ';
    }
    let steps = kib(BARS.len() as u64 - 1);
    let height = (mean(values) / top * steps).round();
    let which = (0..BARS.len()).find(|bar| kib(*bar as u64) >= height);
    BARS[which.unwrap_or(BARS.len() - 1)]
}

/// Whether what each node takes at the end is what it took after the warm-up.
pub fn verdict(samples: &[Sample], length: Duration) -> bool {
    println!("\nmean of the second sixth, and of the last:");
    let mut flat = true;
    let all = series(samples);
    for (name, series) in &all {
        let sixths = usize::try_from(SIXTHS).unwrap();
        let early = mean(&part(series, length, 1, sixths));
        let late = mean(&part(series, length, sixths - 1, sixths));
        let bound = early * (1.0 + TENTH) + BESIDES_KIB;
        // NaN, when nothing was seen, is not flat.
        let is_flat = late <= bound;
        println!(
            "{name} {:.1} MiB, {:.1} MiB; at most {:.1} MiB (10 % and 16 MiB more): {}",
            mib(early),
            mib(late),
            mib(bound),
            if is_flat { "flat" } else { "NOT flat" }
        );
        flat &= is_flat;
    }
    flat && !all.is_empty()
}
