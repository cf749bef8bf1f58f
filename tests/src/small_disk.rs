//! A small disk of its own for a directory.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A disk in memory over a directory. Taken away when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// What the directory holds is then on a disk of so many MiB. `None` without the
    /// right to mount.
    #[must_use]
    pub fn under(at: &Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m,mode=700");
        let beside = at.with_extension("beside");
        fs::rename(at, &beside).unwrap();
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("nothing can be mounted here: no disk is full");
            fs::remove_dir(at).unwrap();
            fs::rename(&beside, at).unwrap();
            return None;
        }
        let copied = Command::new("cp")
            .args(["-a", "--"])
            .arg(beside.join("."))
            .arg(at)
            .status()
            .unwrap();
        assert!(copied.success());
        fs::remove_dir_all(&beside).unwrap();
        Some(Self { at: at.to_owned() })
    }

    /// From now on nothing more can be written.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        let block = vec![1; 64 << 10];
        while ballast.write_all(&block).is_ok() {}
        while ballast.write_all(&[1]).is_ok() {}
    }

    /// Until now.
    pub fn make_room(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
