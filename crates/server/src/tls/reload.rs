//! Takes up a renewed server certificate while the node serves, and warns of
//! one that runs out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chancery_revocation::Clock;
use tracing::{info, warn};

use super::identity::ServerIdentity;
use crate::clock::SystemClock;

/// A certificate with less than this left is warned of, seconds.
const WARN_BELOW: i64 = 30 * 24 * 3600;
/// How often the warning is repeated, seconds.
const WARN_EVERY: i64 = 24 * 3600;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(30);

/// Looks at the files again and again, and reloads them when either changed.
/// Never returns: drop it to end it.
///
/// The two files cannot be replaced as one. Between the two replacements they
/// do not belong together: that pair is refused, the former stays in use, and
/// it is tried again at the next look.
pub async fn follow_files(identity: Arc<ServerIdentity>) {
    let mut follower = Follower::new(identity, SystemClock);
    loop {
        follower.look();
        tokio::time::sleep(EVERY).await;
    }
}

struct Follower<C> {
    identity: Arc<ServerIdentity>,
    clock: C,
    /// What the pair in use was read from; `None` until it was read here.
    loaded: Option<(Stamp, Stamp)>,
    /// Why the files that are there now are not in use.
    refused: Option<String>,
    warned_at: i64,
}

impl<C: Clock> Follower<C> {
    fn new(identity: Arc<ServerIdentity>, clock: C) -> Self {
        Self {
            identity,
            clock,
            loaded: None,
            refused: None,
            warned_at: i64::MIN,
        }
    }

    fn look(&mut self) {
        let now = i64::try_from(self.clock.now().wall).unwrap_or(i64::MAX);
        // Before they are read: what is replaced meanwhile is read once more.
        let present = Some(stamp(&self.identity));
        if present != self.loaded {
            match self.identity.reload(now) {
                Ok(changed) => {
                    self.loaded = present;
                    self.refused = None;
                    if changed {
                        let not_after = self.identity.validity().not_after;
                        info!(not_after, "server certificate replaced");
                    }
                }
                Err(error) => self.refuse(error.to_string()),
            }
        }
        self.warned_at = warn_of_expiry(&self.identity, now, self.warned_at);
    }

    /// Says each reason once, however often it is met.
    fn refuse(&mut self, error: String) {
        if self.refused.as_ref() != Some(&error) {
            warn!(%error, "new server certificate refused; the former stays in use");
            self.refused = Some(error);
        }
    }
}

/// Returns when it last warned.
fn warn_of_expiry(identity: &ServerIdentity, now: i64, warned_at: i64) -> i64 {
    let remaining = identity.validity().remaining(now);
    metrics::gauge!("chancery_server_certificate_remaining_seconds").set(remaining as f64);
    if remaining >= WARN_BELOW || now.saturating_sub(warned_at) < WARN_EVERY {
        return warned_at;
    }
    warn!(
        days = remaining / 86_400,
        certificate = %identity.files().certificate.display(),
        "the server certificate runs out; renew it",
    );
    now
}

/// What tells a replaced file from the one that was read.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamp(identity: &ServerIdentity) -> (Stamp, Stamp) {
    (
        stamp_of(&identity.files().certificate),
        stamp_of(&identity.files().key),
    )
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use chancery_revocation::{BootTime, Now};

    use super::*;
    use crate::tls::IdentityFiles;

    const NOW: Now = Now {
        wall: 1_800_000_000,
        boot: BootTime(0),
    };

    fn write(path: &Path, pem: &str) {
        let new = path.with_extension("new");
        fs::write(&new, pem).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn files_in(directory: &Path) -> IdentityFiles {
        IdentityFiles {
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
        }
    }

    #[test]
    fn a_certificate_is_warned_of_in_its_last_thirty_days_once_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let files = files_in(directory.path());
        let (certificate, key) = pair();
        write(&files.certificate, &certificate);
        write(&files.key, &key);
        let identity = ServerIdentity::load(files).unwrap();
        let (never, day) = (i64::MIN, 24 * 3600);
        let ends = identity.validity().not_after;

        let early = ends - 30 * day;
        assert_eq!(warn_of_expiry(&identity, early, never), never);
        let first = early + 1;
        assert_eq!(warn_of_expiry(&identity, first, never), first);
        let soon = first + day - 1;
        assert_eq!(warn_of_expiry(&identity, soon, first), first);
        let again = first + day;
        assert_eq!(warn_of_expiry(&identity, again, first), again);
        let expired = ends + 1;
        assert_eq!(warn_of_expiry(&identity, expired, again), expired);
    }

    #[test]
    fn a_pair_is_taken_up_once_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let files = files_in(directory.path());
        let (certificate, key) = pair();
        write(&files.certificate, &certificate);
        write(&files.key, &key);
        let identity = ServerIdentity::load(files.clone()).unwrap();
        let mut follower = Follower::new(identity, NOW);
        follower.look();
        let in_order = follower.loaded;
        assert!(in_order.is_some() && follower.refused.is_none());

        let (certificate, key) = pair();
        write(&files.certificate, &certificate);
        follower.look();
        assert_eq!(
            follower.loaded, in_order,
            "half a pair was taken for a whole one"
        );
        assert!(follower.refused.is_some());

        write(&files.key, &key);
        follower.look();
        assert_ne!(follower.loaded, in_order);
        assert!(follower.refused.is_none());
        assert!(follower.warned_at == i64::MIN, "there is no reason to warn");
    }
}
