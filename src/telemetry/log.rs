//! The log: structured lines on standard error, written by a thread of their own.

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Lines that may wait for the writer; further ones are dropped rather than slow a request down.
const QUEUE: usize = 64 * 1024;

/// What `--log-level` accepts: a level, or directives such as `info,chacha::access=off`.
#[derive(Debug, thiserror::Error)]
#[error("log level {0:?} is not one of error, warn, info, debug, trace, off or a list of target=level: {1}")]
pub struct LevelError(String, #[source] tracing_subscriber::filter::ParseError);

/// Starts the log of the process. Lines that still wait are written when the guard is dropped.
///
/// # Errors
/// [`LevelError`] if `level` cannot be read.
pub fn start(format: Format, level: &str) -> Result<WorkerGuard, LevelError> {
    let filter = EnvFilter::try_new(level).map_err(|error| LevelError(level.to_owned(), error))?;
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .thread_name("chacha-log")
        .finish(std::io::stderr());
    subscribe(format, filter, writer);
    Ok(guard)
}

fn subscribe(format: Format, filter: EnvFilter, writer: NonBlocking) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        Format::Text => tracing::subscriber::set_global_default(
            lines
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .finish(),
        ),
        Format::Json => tracing::subscriber::set_global_default(
            lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    };
}
