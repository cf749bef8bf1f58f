//! Orders that are asked for until they are done: for how long, and what is told
//! meanwhile.

use std::time::{Duration, Instant};

use clap::Args;

use crate::{failure::Failure, output::Output, span::Span};

/// How often it is asked again, where the cluster does not say.
pub const ASK_EVERY: Duration = Duration::from_millis(250);

/// How long an order that takes several steps goes on.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// How long to wait until it is done; asked for again, it goes on where it was
    #[arg(long, value_name = "SPAN", default_value = "2m")]
    wait: Span,
}

/// What is left of it.
pub struct Patience {
    ends: Instant,
    told: String,
    output: Output,
}

impl WaitArgs {
    pub fn begin(&self, output: Output) -> Patience {
        Patience {
            ends: Instant::now() + self.wait.0,
            told: String::new(),
            output,
        }
    }
}

impl Patience {
    /// Says what is waited for, unless it was the last that was said, and pauses.
    /// Then it is time to ask again.
    ///
    /// # Errors
    /// `given_up`, when the time is over.
    pub async fn wait_for(
        &mut self,
        what: &str,
        pause: Duration,
        given_up: impl FnOnce() -> Failure,
    ) -> Result<(), Failure> {
        if Instant::now() + pause > self.ends {
            return Err(given_up());
        }
        if self.told != what {
            what.clone_into(&mut self.told);
            self.output.note(&format!("waiting: {what}"));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[tokio::test]
    async fn patience_ends_with_what_was_waited_for() {
        let args = WaitArgs {
            wait: Span(Duration::from_millis(30)),
        };
        let mut patience = args.begin(Output::new(Format::Json));
        let given_up = || Failure::refused("still behind");
        let mut asked = 0;
        let failure = loop {
            let pause = Duration::from_millis(10);
            match patience.wait_for("it is behind", pause, given_up).await {
                Ok(()) => asked += 1,
                Err(failure) => break failure,
            }
        };
        assert!(asked <= 3, "{asked} times in three pauses");
        assert_eq!(failure.message, "still behind");
    }
}
