//! Job tokens over HTTP: the exchange, what a token is worth afterwards, and the attacks on both.

mod attacks;
mod errors;
mod exchange;
mod revoke;
mod rules;
mod whoami;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::server::TestServer;

const TOKEN: &str = "/_chacha/token";
const WHOAMI: &str = "/_chacha/whoami";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Sends these parameters as a form.
async fn send(client: &Client, parameters: &[(&str, &str)]) -> Answer {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    client.send(Method::POST, TOKEN, &[FORM], form.finish()).await
}

/// Exchanges a token as the standard has it, with more parameters.
async fn exchange(server: &TestServer, token: &str, more: &[(&str, &str)]) -> Answer {
    let standard = [
        ("grant_type", GRANT),
        ("subject_token", token),
        ("subject_token_type", JWT_TYPE),
    ];
    send(&server.anonymous(), &[&standard[..], more].concat()).await
}

/// Exchanges a token that must be good: the whole answer.
async fn issued(server: &TestServer, token: &str, more: &[(&str, &str)]) -> Value {
    let answer = exchange(server, token, more).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    serde_json::from_slice(&answer.body).unwrap()
}

/// The job token in an answer.
fn token_of(answer: &Value) -> &str {
    answer["access_token"].as_str().unwrap()
}

/// A client with a job token made of this one.
async fn job(server: &TestServer, token: &str, more: &[(&str, &str)]) -> Client {
    let answer = issued(server, token, more).await;
    server.anonymous().with_token(token_of(&answer))
}

/// A pull request of `acme/app`, which also reads from the default branch.
fn pull_request(server: &TestServer) -> String {
    let claims = json!({"repository": "acme/app", "ref": "refs/pull/1/merge"});
    server.issuer.token(claims)
}

/// Asserts an error in the form of the standard, and gives its text.
#[track_caller]
fn refused(answer: &Answer, status: StatusCode, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(error["error"], code, "{error}");
    let text = error["error_description"].as_str().unwrap();
    let is_allowed = |letter: char| matches!(letter, ' '..='~') && letter != '"' && letter != '\\';
    assert!(!text.is_empty() && text.chars().all(is_allowed), "{text}");
    text.to_owned()
}
