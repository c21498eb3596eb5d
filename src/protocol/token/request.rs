//! What an exchange asks for (RFC 8693, section 2.1), with `ttl` and `namespace` of ours.

use http::{HeaderMap, header};

use super::answer::{ACCESS_TOKEN_TYPE, JWT_TYPE};
use super::error::TokenError;
use super::parameters::Parameters;
use crate::auth::{
    Credentials, ExchangeError, ExchangeRequest, JobTokenForm, NamespaceChoice, Restriction, RightsChoice,
};
use crate::protocol::app::credentials;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";

/// Reads a request. The token is in the body, or in the header: never in both.
pub(super) fn read<'a>(
    parameters: &'a Parameters,
    headers: &'a HeaderMap,
    (targets, base_url): (&'a [String], Option<&'a str>),
) -> Result<ExchangeRequest<'a>, TokenError> {
    let subject = subject(parameters, headers)?;
    if parameters.one("actor_token")?.is_some() || parameters.one("actor_token_type")?.is_some() {
        return Err(TokenError::invalid_request(
            "actor_token is not supported; leave it out",
        ));
    }
    Ok(ExchangeRequest {
        subject,
        restriction: Restriction {
            rights: rights(parameters)?,
            namespace: parameters.one("namespace")?.map(namespace),
        },
        ttl: ttl(parameters)?,
        form: form(parameters)?,
        targets,
        base_url,
    })
}

/// For whom the token is to be good.
pub(super) fn targets(parameters: &Parameters) -> Vec<String> {
    let named = parameters.all("audience").chain(parameters.all("resource"));
    named.map(str::to_owned).collect()
}

fn subject<'a>(parameters: &'a Parameters, headers: &'a HeaderMap) -> Result<Credentials<'a>, TokenError> {
    let (token, in_header) = (
        parameters.one("subject_token")?,
        headers.contains_key(header::AUTHORIZATION),
    );
    let grant = parameters.one("grant_type")?;
    if grant.is_some_and(|grant| grant != GRANT_TYPE) {
        return Err(TokenError::new(
            "unsupported_grant_type",
            format!("grant_type must be {GRANT_TYPE}"),
        ));
    }
    let kind = parameters.one("subject_token_type")?;
    if kind.is_some_and(|kind| ![JWT_TYPE, ID_TOKEN_TYPE, ACCESS_TOKEN_TYPE].contains(&kind)) {
        return Err(TokenError::invalid_request(format!(
            "subject_token_type must be {JWT_TYPE}, {ID_TOKEN_TYPE} or {ACCESS_TOKEN_TYPE}"
        )));
    }
    let missing = |name: &str| TokenError::invalid_request(format!("{name} is missing"));
    match token {
        Some(_) if in_header => Err(TokenError::invalid_request(
            "there is an Authorization header beside subject_token; send one of both",
        )),
        Some(token) => {
            grant.ok_or_else(|| missing("grant_type"))?;
            kind.ok_or_else(|| missing("subject_token_type"))?;
            Ok(Credentials::from_token(token).map_err(ExchangeError::from)?)
        }
        None if in_header => Ok(credentials(headers).map_err(ExchangeError::from)?),
        None => Err(TokenError::invalid_request(
            "subject_token is missing; send the token of the job, there or as Bearer in Authorization",
        )),
    }
}

fn form(parameters: &Parameters) -> Result<JobTokenForm, TokenError> {
    match parameters.one("requested_token_type")? {
        None | Some(ACCESS_TOKEN_TYPE) => Ok(JobTokenForm::Opaque),
        Some(JWT_TYPE) => Ok(JobTokenForm::Jwt),
        Some(_) => Err(TokenError::invalid_request(format!(
            "requested_token_type must be {ACCESS_TOKEN_TYPE} or {JWT_TYPE}"
        ))),
    }
}

fn rights(parameters: &Parameters) -> Result<Option<RightsChoice>, TokenError> {
    let Some(words) = parameters.one("scope")? else {
        return Ok(None);
    };
    let mut rights = RightsChoice {
        read: false,
        write: false,
    };
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "read" => rights.read = true,
            "write" => rights.write = true,
            _ => {
                return Err(TokenError::new(
                    "invalid_scope",
                    "scope has the words read and write only",
                ));
            }
        }
    }
    Ok(Some(rights))
}

fn ttl(parameters: &Parameters) -> Result<Option<u64>, TokenError> {
    match parameters.one("ttl")? {
        None => Ok(None),
        // More than fits is a wish for the longest life.
        Some(text) if is_number(text) => Ok(Some(text.parse().unwrap_or(u64::MAX))),
        Some(_) => Err(ExchangeError::TtlTooShort.into()),
    }
}

fn namespace(text: &str) -> NamespaceChoice {
    match is_number(text) {
        true => NamespaceChoice::Index(text.parse().unwrap_or(usize::MAX)),
        false => NamespaceChoice::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
