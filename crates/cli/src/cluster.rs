//! Which cluster a command talks to, and as whom.

use std::path::{Path, PathBuf};

use chancery_client::{Client, Config, RetryPolicy};
use clap::Args;

use crate::{
    failure::Failure,
    profile::{Profile, read_identity},
    span::Span,
};

/// The options of every command that calls a cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which cluster, and as whom")]
pub struct ClusterArgs {
    /// Directory with `client.toml`, as `chancery init` makes it
    #[arg(long, env = "CHANCERY_PROFILE", value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Node to call; repeat it in the order of preference [default: the profile's]
    #[arg(long = "endpoint", value_name = "HOST:PORT")]
    endpoints: Vec<String>,
    /// The cluster's root certificate, PEM [default: the profile's]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Private key to prove, PEM, its certificate beside it as `.pem` [default: the profile's]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// How long to go on trying
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    timeout: Span,
}

impl ClusterArgs {
    /// Options that name a profile and nothing else.
    pub fn of_profile(directory: &Path, timeout: Span) -> Self {
        Self {
            profile: Some(directory.to_owned()),
            endpoints: Vec::new(),
            root: None,
            identity: None,
            timeout,
        }
    }

    /// A client of the whole cluster.
    pub fn client(&self) -> Result<Client, Failure> {
        let profile = self.effective()?;
        self.client_of(&profile, profile.endpoints.clone(), self.timeout)
    }

    /// A client of each node by itself, in the order of preference.
    pub fn client_per_node(&self, timeout: Span) -> Result<Vec<(String, Client)>, Failure> {
        let profile = self.effective()?;
        let one = |endpoint: &String| {
            let client = self.client_of(&profile, vec![endpoint.clone()], timeout)?;
            Ok((endpoint.clone(), client))
        };
        profile.endpoints.iter().map(one).collect()
    }

    /// The profile's directory, when the nodes were taken from it.
    pub fn profile_of_endpoints(&self) -> Option<&Path> {
        if self.endpoints.is_empty() {
            self.profile.as_deref()
        } else {
            None
        }
    }

    /// The file of the cluster's root certificate.
    pub fn root_file(&self) -> Result<PathBuf, Failure> {
        Ok(self.effective()?.root)
    }

    /// The nodes and the root, for another identity's profile; `None` when no
    /// cluster is named.
    pub fn try_profile(&self) -> Result<Option<Profile>, Failure> {
        if self.profile.is_none() && self.endpoints.is_empty() {
            return Ok(None);
        }
        self.effective().map(Some)
    }

    fn effective(&self) -> Result<Profile, Failure> {
        let profile = self.profile.as_deref().map(Profile::load).transpose()?;
        let mut profile = match (profile, &self.root) {
            (Some(profile), _) => profile,
            (None, Some(root)) => Profile {
                endpoints: Vec::new(),
                root: root.clone(),
                identity: None,
            },
            (None, None) => {
                return Err(Failure::usage("no cluster is named").next(
                    "give --profile DIR (made by `chancery init`), set CHANCERY_PROFILE, or give \
                     --endpoint, --root and --identity; `chancery dev` makes a cluster to try, and \
                     its profile",
                ));
            }
        };
        if let Some(root) = &self.root {
            profile.root.clone_from(root);
        }
        if !self.endpoints.is_empty() {
            profile.endpoints.clone_from(&self.endpoints);
        }
        if let Some(identity) = &self.identity {
            profile.identity = Some(identity.clone());
        }
        Ok(profile)
    }

    fn client_of(
        &self,
        profile: &Profile,
        endpoints: Vec<String>,
        timeout: Span,
    ) -> Result<Client, Failure> {
        let config = Config {
            endpoints,
            root: chancery_server::admission::read(&profile.root)?,
            identity: profile.identity.as_deref().map(read_identity).transpose()?,
            retry: RetryPolicy {
                deadline: timeout.0,
                ..RetryPolicy::default()
            },
        };
        Client::new(config).map_err(|error| {
            Failure::usage(error).next("mend --endpoint, --root or --identity, or the profile")
        })
    }
}
