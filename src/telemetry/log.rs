//! The log: structured lines on standard error, written by a thread of their own.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::writer::{self, LogQueue};

pub use super::line::{AccessLog, Format};
pub use super::writer::LogGuard;

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// What stands after `--log-level`.
    #[error("--log-level {0:?}: write error, warn, info, debug, trace, off, or a list of target=level: {1}")]
    Level(String, String),
    /// The thread that writes.
    #[error("cannot start the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running log of the process.
#[derive(Debug)]
pub struct Log {
    /// For the lines of requests.
    pub access: AccessLog,
    /// Writes the lines that still wait when it is dropped.
    pub guard: LogGuard,
}

/// Starts the log of the process.
///
/// # Errors
/// [`LogError`] if `level` cannot be read.
pub fn start(format: Format, level: &str) -> Result<Log, LogError> {
    let filter = filter(level).map_err(|reason| LogError::Level(level.to_owned(), reason))?;
    let (queue, guard) = writer::start(std::io::stderr())?;
    subscribe(format, filter, queue.clone());
    let wanted = tracing::enabled!(target: "chacha::access", tracing::Level::INFO);
    let access = if wanted {
        AccessLog::new(queue, format)
    } else {
        AccessLog::off()
    };
    Ok(Log { access, guard })
}

/// The SDK of S3 warns of what the tier itself reports better, and at lower levels shows requests. All its
/// modules begin so; a directive of the operator for one of them counts more.
const SDK_DIRECTIVE: &str = "aws_=error";
/// HTTP/2 warns of clients that reset many requests: anybody could fill the log with that, without a token.
const HTTP2_DIRECTIVE: &str = "h2=error";

/// The filter that `level` means, or what is wrong with it.
///
/// To `EnvFilter` a bare word that is no level is the name of a module, and everything else is off: a
/// misspelt level would silence the log.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let known = |directive: &&str| directive.contains(['=', '[']) || is_level(directive);
    if let Some(word) = directives
        .iter()
        .find(|directive| directive.is_empty() || !known(directive))
    {
        return Err(format!("{word:?} is no level"));
    }
    let all = [&[SDK_DIRECTIVE, HTTP2_DIRECTIVE], directives.as_slice()]
        .concat()
        .join(",");
    EnvFilter::try_new(all).map_err(|error| error.to_string())
}

fn subscribe(format: Format, filter: EnvFilter, queue: LogQueue) {
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(queue);
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        Format::Text => tracing::subscriber::set_global_default(log.with_ansi(ansi).finish()),
        Format::Json => {
            let json = log
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            tracing::subscriber::set_global_default(json.finish())
        }
    };
}
