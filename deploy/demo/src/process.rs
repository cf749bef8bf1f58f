//! A node as a process of ours: killed when its handle goes, whatever the way.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::Outcome;

/// A running node.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
}

impl NodeProcess {
    /// Starts `chancery serve` in a directory; what it says goes to `log` there.
    pub fn start(binary: &Path, directory: &Path) -> Outcome<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("log"))?;
        let child = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(directory.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, to this process and no other.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
