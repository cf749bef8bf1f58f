//! How large things between peers may be. Each is well above what an honest peer
//! sends, so that reaching one is an error and no slow path.

/// One gRPC message. An append carries at most [`MAX_APPEND_BYTES`] of entries,
/// or one entry, which is at most [`MAX_COMMAND_BYTES`].
pub(crate) const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The entries of one append, by their bytes in the log.
pub(crate) const MAX_APPEND_BYTES: usize = 4 * 1024 * 1024;

/// One encoded command. The largest that the authority accepts is far below.
pub(crate) const MAX_COMMAND_BYTES: usize = 1024 * 1024;

/// The rows of one chunk of a snapshot, by their bytes; one row may go beyond.
pub(crate) const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// HTTP/2 flow control (RFC 9113 §6.9): what may be under way unread.
pub(crate) const STREAM_WINDOW: u32 = 8 * 1024 * 1024;

/// Streams that one connection of a peer may have open.
pub(crate) const MAX_STREAMS: u32 = 256;
