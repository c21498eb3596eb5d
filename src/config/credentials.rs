//! Credentials for S3. They never stand in the configuration itself, because that is shown to many.

use super::S3CredentialFiles;
use super::field::Field;
use super::section::Section;

/// The key that names a file, the key under which the secret itself may have been written, and the
/// variable of the environment.
const SECRETS: [(&str, &str, &str); 3] = [
    ("access_key_id_file", "access_key_id", "AWS_ACCESS_KEY_ID"),
    (
        "secret_access_key_file",
        "secret_access_key",
        "AWS_SECRET_ACCESS_KEY",
    ),
    ("session_token_file", "session_token", "AWS_SESSION_TOKEN"),
];

/// Reads the files of credentials, and refuses credentials themselves.
pub(super) fn files(section: &Section<'_>) -> Option<S3CredentialFiles> {
    let mut in_the_open = false;
    for (file, secret, variable) in SECRETS {
        if let Some(field) = section.field(secret) {
            in_the_open = true;
            field.error(format!(
                "credentials do not stand in this file; write it into a file of its own and name that with \
                 `{file}`, or set {variable} in the environment"
            ));
        }
    }
    let [access_key_id, secret_access_key, session_token] =
        SECRETS.map(|(file, ..)| section.optional(file, Field::file_path));
    if !in_the_open {
        complete(section);
    }
    Some(S3CredentialFiles {
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token,
    })
}

/// Reports a file of credentials without those that belong to it.
fn complete(section: &Section<'_>) {
    let [id, secret, token] = SECRETS.map(|(file, ..)| section.field(file));
    let (lone, missing) = match (&id, &secret, &token) {
        (Some(id), None, _) => (id, "`secret_access_key_file`"),
        (None, Some(secret), _) => (secret, "`access_key_id_file`"),
        (None, None, Some(token)) => (token, "`access_key_id_file` and `secret_access_key_file`"),
        _ => return,
    };
    lone.error(format!(
        "is of no use alone; add {missing}, or remove it to use the credentials of the environment"
    ));
}
