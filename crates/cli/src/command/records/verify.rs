//! `chancery records verify`: whether the chain of a node's records holds.

use chancery_server::records::{self, Damage, Gap, Report, SegmentReport, Standing};
use clap::Args;
use serde::Serialize;

use super::{FilesArgs, damaged, unreadable};
use crate::{
    failure::Failure,
    output::{Column, Output},
    span::instant,
};

/// Arguments of `records verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each node keeps records of its own mints in hash-chained segment files. This reads all of them:
every frame has to follow from all before it. A flipped byte, a truncated or a missing segment
ends it with exit code 1 and says where. Gaps are no damage: the node recorded them itself, after
a crash, a loss of power or of the volume, when it dropped records, or when its records were gone
(`absent`), and each names the issuers that signed meanwhile. `exact` says whether their number is
known or is the most that can be missing: after a crash that is what may have waited to be written
and what was not synced, and where records may be dropped, also as many as may be dropped before
the files count them (`records.uncounted` in node.toml). Of `damage` and `absent` it is not known.

What it cannot show: whoever can write to the node's disk can write a chain anew, or cut its end
off. A copy elsewhere shows that: its last hash has to be in the chain for ever.")]
pub struct VerifyArgs {
    #[command(flatten)]
    files: FilesArgs,
}

#[derive(Serialize)]
struct ReportView {
    intact: bool,
    records: u64,
    /// Records that were let go with the segments before the first.
    records_deleted: u64,
    segments_deleted: u64,
    segments: Vec<SegmentView>,
    gaps: Vec<GapView>,
    damage: Vec<DamageView>,
}

#[derive(Serialize)]
struct SegmentView {
    segment: u64,
    node: u64,
    lineage: String,
    records: u64,
    bytes: u64,
    begun: Option<String>,
    complete_until: Option<String>,
    ends: String,
}

#[derive(Serialize)]
struct GapView {
    segment: u64,
    cause: &'static str,
    records: u64,
    /// Whether `records` is the number, or the most that there can be.
    exact: bool,
    from: Option<String>,
    from_ms: u64,
    to: Option<String>,
    to_ms: u64,
    issuers: Vec<u32>,
    torn_bytes: u64,
}

#[derive(Serialize)]
struct DamageView {
    segment: u64,
    byte: u64,
    what: String,
}

const SEGMENT_COLUMNS: [Column; 7] = [
    ("segment", "/segment"),
    ("node", "/node"),
    ("records", "/records"),
    ("bytes", "/bytes"),
    ("begun", "/begun"),
    ("complete until", "/complete_until"),
    ("ends", "/ends"),
];
const GAP_COLUMNS: [Column; 7] = [
    ("gap in", "/segment"),
    ("cause", "/cause"),
    ("records", "/records"),
    ("exact", "/exact"),
    ("from", "/from"),
    ("to", "/to"),
    ("issuers", "/issuers"),
];
const DAMAGE_COLUMNS: [Column; 3] = [
    ("damage in", "/segment"),
    ("byte", "/byte"),
    ("what", "/what"),
];
const TOTAL_COLUMNS: [Column; 4] = [
    ("intact", "/intact"),
    ("records", "/records"),
    ("records deleted", "/records_deleted"),
    ("segments deleted", "/segments_deleted"),
];

pub fn run(args: &VerifyArgs, output: Output) -> Result<(), Failure> {
    let directory = args.files.directory();
    let report = records::verify(&directory).map_err(|error| unreadable(&directory, &error))?;
    show(&ReportView::of(&report), output)?;
    damaged(&directory, &report.damage)
}

/// One object for programs; for people a table each, of what there is.
fn show(view: &ReportView, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.record(view, &[]);
    }
    output.list(&view.segments, &SEGMENT_COLUMNS)?;
    if !view.gaps.is_empty() {
        output.list(&view.gaps, &GAP_COLUMNS)?;
    }
    if !view.damage.is_empty() {
        output.list(&view.damage, &DAMAGE_COLUMNS)?;
    }
    output.record(view, &TOTAL_COLUMNS)
}

impl ReportView {
    fn of(report: &Report) -> Self {
        Self {
            intact: report.damage.is_empty(),
            records: report.records,
            records_deleted: report.records_before,
            segments_deleted: report.deleted_through,
            segments: report.segments.iter().map(SegmentView::of).collect(),
            gaps: report.gaps.iter().map(GapView::of).collect(),
            damage: report.damage.iter().map(DamageView::of).collect(),
        }
    }
}

impl SegmentView {
    fn of(segment: &SegmentReport) -> Self {
        Self {
            segment: segment.segment,
            node: segment.node.0,
            lineage: segment.lineage.to_string(),
            records: segment.records,
            bytes: segment.bytes,
            begun: instant(segment.begun_ms / 1000),
            complete_until: instant(segment.as_of_ms / 1000),
            ends: match segment.standing {
                Standing::Closed => "closed".to_owned(),
                Standing::Open { torn_bytes: 0 } => "open".to_owned(),
                Standing::Open { torn_bytes } => {
                    format!("open, {torn_bytes} bytes torn or being written")
                }
                Standing::Cut => "cut, a gap follows".to_owned(),
                Standing::Damaged => "damaged".to_owned(),
            },
        }
    }
}

impl GapView {
    fn of((segment, gap): &(u64, Gap)) -> Self {
        Self {
            segment: *segment,
            cause: gap.cause.as_str(),
            records: gap.records,
            exact: gap.is_exact(),
            from: instant(gap.from_ms / 1000),
            from_ms: gap.from_ms,
            to: instant(gap.to_ms / 1000),
            to_ms: gap.to_ms,
            issuers: gap.issuers.iter().map(|issuer| issuer.0).collect(),
            torn_bytes: gap.torn_bytes,
        }
    }
}

impl DamageView {
    fn of(damage: &Damage) -> Self {
        Self {
            segment: damage.segment,
            byte: damage.offset,
            what: damage.what.clone(),
        }
    }
}
