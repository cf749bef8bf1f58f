//! Whether a chain holds together, and what it says is missing.

use std::{io, ops::ControlFlow, path::Path};

use chancery_credential::{Lineage, NodeNumber};

use super::{
    Damage, Gap, Standing,
    read::SegmentReader,
    walk::{Visitor, walk},
};

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// Counts from 1.
    pub segment: u64,
    /// Whose records they are.
    pub node: NodeNumber,
    /// Of the cluster when the process started.
    pub lineage: Lineage,
    /// Tells the processes of the node apart.
    pub process: u64,
    /// When it was begun, milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// What was handed over before this is in it or in those before, milliseconds
    /// since the Unix epoch.
    pub as_of_ms: u64,
    /// Records in it that hold together.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// How it ends.
    pub standing: Standing,
}

/// What a chain says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The segments that could be read, in order.
    pub segments: Vec<SegmentReport>,
    /// Each gap with the segment that tells of it.
    pub gaps: Vec<(u64, Gap)>,
    /// All segments up to this one were let go for their age or size, as the chain
    /// says itself; 0: none.
    pub deleted_through: u64,
    /// Records that were in them.
    pub records_before: u64,
    /// Records that are there.
    pub records: u64,
    /// Nothing, when the chain holds.
    pub damage: Vec<Damage>,
}

/// Reads every frame of every segment of a directory, and holds it against all
/// before it. A node may be writing there meanwhile.
///
/// # Errors
/// When the directory or a file cannot be read, or there is none. Damage stands in the report.
pub fn verify(directory: &Path) -> io::Result<Report> {
    let mut report = Report::default();
    let walked = walk(directory, &mut report)?;
    report.deleted_through = walked.deleted_through;
    report.records_before = walked.records_before;
    report.damage = walked.damage;
    Ok(report)
}

impl Visitor for Report {
    fn records(&mut self, _reader: &SegmentReader) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn gap(&mut self, segment: u64, gap: Gap) {
        self.gaps.push((segment, gap));
    }

    fn ended(&mut self, reader: &SegmentReader, standing: Standing) {
        let header = reader.header();
        self.records += reader.records_read();
        self.segments.push(SegmentReport {
            segment: header.segment,
            node: header.node,
            lineage: header.lineage,
            process: header.process,
            begun_ms: header.begun_ms,
            as_of_ms: reader.as_of_ms(),
            records: reader.records_read(),
            bytes: reader.file_bytes(),
            standing,
        });
    }
}
