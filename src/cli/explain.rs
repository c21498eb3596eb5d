//! `chacha explain`: what a token may do, or the exact reason why it may not.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::auth::{Authenticator, Credentials, JobTokenKeys, JobTokens, SigningKey};
use crate::config::Config;
use crate::tasks::Tasks;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The configuration; see config.example.yaml
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// File with the token alone; `-` reads standard input, so that no token stands in a process list
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

/// What stands in front of the token in the header of a request.
const AUTH_SCHEME: &str = "Bearer ";
/// Most bytes that are read; a longer token is refused by the server, too.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;

pub(super) fn execute(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let loaded = super::load(&args.file)?;
    let token = read_token(&args.token_file)?;
    if let Some(fault) = fault(&args.token_file, token.trim()) {
        return Ok(refused(&fault));
    }
    super::block_on(async {
        let tasks = Tasks::new();
        let job_tokens = job_tokens(&loaded.config);
        let auth = Authenticator::start(loaded.config.providers, &tasks)?.with_job_tokens(job_tokens);
        let header = format!("{AUTH_SCHEME}{}", token.trim());
        let explanation = match Credentials::from_header_values(std::iter::once(header.as_bytes())) {
            Ok(credentials) => auth.explain(&credentials).await,
            Err(error) => return Ok(refused(&error.to_string())),
        };
        tasks.finish().await;
        super::say(&explanation.to_string());
        Ok(if explanation.outcome.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })?
}

/// Blocking. Only a key that the configuration names: the one that a server keeps on its disk is for that server alone.
fn job_tokens(config: &Config) -> JobTokens {
    let key = config.signing_key();
    let key = key.and_then(|(_, file)| SigningKey::load(file).ok());
    let former = config.signing_key_file_former.as_ref();
    let former = former.and_then(|file| SigningKey::load(file).ok());
    let keys = key.map(|key| JobTokenKeys::new(&key, former.as_ref()));
    JobTokens::new(keys, config.job_tokens)
}

fn refused(reason: &str) -> ExitCode {
    super::say(&format!("refused: {reason}"));
    ExitCode::FAILURE
}

/// What is wrong with the file. The server's own texts speak of a header, and here is none.
fn fault(file: &Path, token: &str) -> Option<String> {
    let place = match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    };
    if token.is_empty() {
        return Some(format!("{place} holds no token; write the token alone into it"));
    }
    let (bytes, most) = (AUTH_SCHEME.len() + token.len(), Credentials::MAX_BYTES);
    (bytes > most).then(|| {
        format!(
            "the token in {place} is longer than {} KiB with `{AUTH_SCHEME}` before it, which no server reads",
            most / 1024
        )
    })
}

fn read_token(file: &PathBuf) -> anyhow::Result<String> {
    let mut token = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin()
            .take(MAX_TOKEN_FILE_BYTES)
            .read_to_string(&mut token)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut token))
    };
    read.with_context(|| format!("--token-file {}: cannot read the token", file.display()))?;
    Ok(token)
}
