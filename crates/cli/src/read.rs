//! What every read carries.

use clap::Args;

/// The options of reads.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Answer from no state older than this consistency token
    #[arg(long, value_name = "TOKEN")]
    min_revision: Option<String>,
}

impl ReadArgs {
    pub fn min_revision(&self) -> String {
        self.min_revision.clone().unwrap_or_default()
    }
}
