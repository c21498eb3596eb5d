//! How the bytes of a file reach a socket without being copied through this process.
//!
//! hyper's HTTP/1 writer hands the slices of a body's chunks unchanged to a vectored write of the
//! connection. A body that is a file therefore yields one chunk (`FileChunk`) of the file's true
//! length whose *vectored* view is a token of a few bytes; [`WireStream`] recognises the token by
//! its address and calls `sendfile` for the file that belongs to it. Nothing else in the project knows of this.
//!
//! Why this cannot send wrong bytes: only [`crate::server::service`] makes such chunks, only for
//! HTTP/1 and only on connections whose stream is a [`WireStream`]. Should anything else ask the chunk
//! for its bytes (`Buf::chunk`), it reads the file and gives the true ones: slower, never wrong.

mod body;
mod coalesce;
mod pieces;
mod readiness;
mod send_buffer;
mod send_queue;
mod stream;

pub use body::WireBody;
pub use pieces::GrowingPieces;
pub use send_buffer::LargeSendBuffers;
pub use send_queue::{PendingRequest, SendQueue};
pub use stream::{Socket, WireStream};
