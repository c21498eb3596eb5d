//! The command line.

mod check;
mod dev;
mod explain;
mod health;
mod open_modes;
mod run;
mod s3;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, LoadedConfig};
use crate::tasks::MAX_BLOCKING_THREADS;
use crate::telemetry::log::{self, LogError};

/// Exit code for a configuration or a command line that cannot be used, as `clap` does.
const USAGE_EXIT_CODE: u8 = 2;

/// A thread without work ends after this time, and gives its memory back.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(4);

/// A multi-tenant HTTP caching proxy server for CI.
#[derive(Debug, Parser)]
#[command(name = "chacha", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// error, warn, info, debug, trace, or directives such as `info,chacha::access=off`
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// How a log line looks
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: log::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, as the configuration says, until SIGTERM or SIGINT
    Run(run::RunArgs),
    /// Report every error and warning of a configuration, without opening a port
    Check(FileArg),
    /// Say what a token may do under a configuration, or why it is refused
    Explain(explain::ExplainArgs),
    /// Ask a running server whether it is ready; exit code 0 if it is
    Health(health::HealthArgs),
    /// What belongs to the bucket of the configuration
    S3(s3::S3Args),
    /// Serve for trying things: loopback only, built-in issuer, tokens of two tenants
    Dev(dev::DevArgs),
}

#[derive(Debug, Args)]
struct FileArg {
    /// The configuration; see config.example.yaml
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

/// Runs the command and prints what went wrong, one line for each problem.
pub fn main() -> ExitCode {
    Cli::parse().execute().unwrap_or_else(|error| {
        fail(&error_text(&error));
        exit_code(&error)
    })
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.is::<UsageError>() {
        true => ExitCode::from(USAGE_EXIT_CODE),
        false => ExitCode::FAILURE,
    }
}

impl Cli {
    fn execute(self) -> anyhow::Result<ExitCode> {
        let log = match log::start(self.log.log_format, &self.log.log_level) {
            Err(error @ LogError::Level(..)) => return Err(UsageError(error.to_string()).into()),
            log => log?,
        };
        match self.command {
            Command::Run(args) => {
                let outcome = run::execute(&args, log.access.clone());
                // Who collects JSON lines gets this one, too.
                match (outcome, self.log.log_format) {
                    (Err(error), log::Format::Json) => {
                        log_failure(&error);
                        Ok(exit_code(&error))
                    }
                    (outcome, _) => outcome,
                }
            }
            Command::Check(args) => check::execute(&args.file),
            Command::Explain(args) => explain::execute(&args),
            Command::Health(args) => health::execute(&args),
            Command::S3(args) => s3::execute(&args),
            Command::Dev(args) => dev::execute(args, log.access.clone()),
        }
    }
}

/// What is wrong with a configuration or a command line that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

fn load(file: &std::path::Path) -> Result<LoadedConfig, UsageError> {
    config::load(file, &crate::auth::Expressions).map_err(|report| UsageError(report.to_string()))
}

/// An error with its causes, without those that its text holds already.
fn error_text(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The runtime of every command that serves. On one processor the scheduler for several threads has
/// nothing to balance and only costs.
fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    crate::sys::raise_open_file_limit();
    let alone = std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let mut builder = if alone {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder
        .enable_all()
        .thread_name("chacha")
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE);
    let runtime = builder.build()?;
    Ok(runtime.block_on(work))
}

/// What a command has to say.
#[expect(clippy::print_stdout, reason = "the output of a command")]
fn say(text: &str) {
    println!("{text}");
}

/// What belongs beside the output: on standard error, so that the output alone can go into a file.
#[expect(clippy::print_stderr, reason = "advice of a command")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// What went wrong, as lines of the log: one for each problem.
fn log_failure(error: &anyhow::Error) {
    for line in error_text(error).lines() {
        tracing::error!("{line}");
    }
}

/// What went wrong.
#[expect(clippy::print_stderr, reason = "the errors of a command, beside the log")]
fn fail(text: &str) {
    for line in text.lines() {
        eprintln!("chacha: {line}");
    }
}
