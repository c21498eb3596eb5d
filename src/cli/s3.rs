//! `chacha s3`: what belongs to the bucket and not to the server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::config::S3Config;

#[derive(Debug, Args)]
pub(super) struct S3Args {
    #[command(subcommand)]
    command: S3Command,
}

#[derive(Debug, Subcommand)]
enum S3Command {
    /// Print a rule for the bucket that removes old entries and the parts of broken uploads
    Lifecycle(LifecycleArgs),
}

#[derive(Debug, Args)]
struct LifecycleArgs {
    /// The configuration, to find `s3` in
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Remove entries that were written so many days ago
    #[arg(
        long,
        value_name = "N",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=36_500)
    )]
    expire_days: u32,
}

/// The longest id of a rule, in characters.
const MAX_RULE_ID_CHARS: usize = 255;

/// The name of the file in the command that is printed.
const LIFECYCLE_FILE: &str = "lifecycle.json";

pub(super) fn execute(args: &S3Args) -> anyhow::Result<ExitCode> {
    let S3Command::Lifecycle(args) = &args.command;
    let loaded = super::load(&args.file)?;
    let Some(s3) = loaded.config.s3 else {
        anyhow::bail!(
            "s3: {} has no such section, so there is no bucket to print a rule for; add `s3:` with the key `bucket`",
            args.file.display()
        );
    };
    super::say(&format!("{:#}", lifecycle(&s3, args.expire_days)));
    super::note(&advice(&s3, args.expire_days));
    Ok(ExitCode::SUCCESS)
}

/// One rule for what Chacha writes, and for nothing else in the bucket.
fn lifecycle(s3: &S3Config, days: u32) -> Value {
    let prefix = s3.object_prefix();
    let id = format!("chacha-{}", prefix.trim_end_matches('/'));
    json!({
        "Rules": [{
            "ID": id.chars().take(MAX_RULE_ID_CHARS).collect::<String>(),
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "Expiration": {"Days": days},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }]
    })
}

/// What to do with the rule, and what it does.
fn advice(s3: &S3Config, days: u32) -> String {
    let (command, prefix) = (command(s3), s3.object_prefix());
    let plural = if days == 1 { "day" } else { "days" };
    let mut text = format!(
        "Save standard output as {LIFECYCLE_FILE}, then run:
{command}
It replaces all rules of the bucket; if there are others, put this one beside them first.
Objects below {prefix} are removed {days} {plural} after they were written, parts of broken uploads after one day.
Reading does not make an object younger: an entry in use is removed, too, and stored anew when it is missed.
The rule does not touch the disk of any server.",
    );
    let host = s3.endpoint_url.as_ref().and_then(|url| url.host_str());
    if host.is_some_and(|host| host.ends_with("googleapis.com")) {
        text.push_str("\nGoogle Cloud Storage wants another form of rules; docs/s3.md has it.");
    }
    text
}

fn command(s3: &S3Config) -> String {
    let mut command = format!(
        "aws s3api put-bucket-lifecycle-configuration --bucket {}",
        s3.bucket
    );
    if let Some(region) = &s3.region {
        command.push_str(&format!(" --region {region}"));
    }
    if let Some(url) = &s3.endpoint_url {
        let url = url.as_str().trim_end_matches('/');
        command.push_str(&format!(" --endpoint-url {}", shell_word(url)));
    }
    command + &format!(" --lifecycle-configuration file://{LIFECYCLE_FILE}")
}

/// A text that a shell takes as it stands.
fn shell_word(text: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-._:/".contains(letter);
    if text.chars().all(harmless) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_rules_are_not_too_long() {
        let mut s3 = S3Config::new("my-bucket");
        s3.prefix = format!("{}/", "é".repeat(255));
        let rule = &lifecycle(&s3, 30)["Rules"][0];
        assert_eq!(rule["ID"].as_str().unwrap().chars().count(), MAX_RULE_ID_CHARS);
        assert_eq!(rule["Filter"]["Prefix"], format!("{}v1/", s3.prefix));
    }

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(
            shell_word("https://s3.example.com:9000"),
            "https://s3.example.com:9000"
        );
        assert_eq!(shell_word("http://[::1]:9000"), "'http://[::1]:9000'");
        assert_eq!(shell_word("a'b"), r"'a'\''b'");
    }
}
