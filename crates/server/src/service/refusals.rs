//! A refusal as a message: what one message of a stream is answered, and the stream
//! goes on.

use chancery_wire::v1;
use tonic::Status;
use tonic_types::StatusExt;

/// What the status and its details say.
pub(super) fn refusal(status: &Status) -> v1::Refusal {
    let details = status.get_error_details();
    v1::Refusal {
        code: status.code().into(),
        reason: details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default(),
        message: status.message().to_owned(),
        remedy: details
            .localized_message()
            .map(|localized| localized.message.clone())
            .unwrap_or_default(),
        retry_after: details
            .retry_info()
            .and_then(|info| info.retry_delay)
            .and_then(|delay| prost_types::Duration::try_from(delay).ok()),
    }
}
