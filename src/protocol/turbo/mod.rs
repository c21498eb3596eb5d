//! Turborepo's remote cache: `/v8/artifacts` (turbo 2.11; the reference service is Vercel's).
//!
//! The team of a request is part of the name of an entry: it takes part in the signature of an
//! artifact, but not in its hash.

mod artifacts;
mod error;
mod query;

use axum::body::Body;
use axum::extract::Request;
use http::{HeaderValue, Method, StatusCode, header};

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::http_error::HttpError;
use super::path::DecodedPath;
use super::reply::Reply;
use crate::error::Class;
use crate::telemetry::access::{Outcome, RequestRecord};

const ROOT: &[&str] = &["v8", "artifacts"];

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "turbo",
        claims: |path| path.after(ROOT) == Some(None) || path.is_child_of(ROOT),
        answer: |app, request| Box::pin(answer(app, request)),
        fault: super::http_error::fault,
    }
}

async fn answer(app: App, request: Request) -> Reply {
    let path = DecodedPath::of(request.uri());
    let child = path.after(ROOT).flatten().map(<[u8]>::to_vec);
    let route = match child.as_deref() {
        None => "/v8/artifacts",
        Some(b"status") => "/v8/artifacts/status",
        Some(b"events") => "/v8/artifacts/events",
        Some(_) => "/v8/artifacts/{hash}",
    };
    let admitted = match admit(&app, request, "turbo", route).await {
        Ok(admitted) => admitted,
        Err((failure, record)) => return error::respond(failure, record),
    };
    match (route, &admitted.parts.method) {
        (_, &Method::OPTIONS) => preflight(admitted),
        ("/v8/artifacts/status", &Method::GET | &Method::HEAD) => {
            json(r#"{"status":"enabled"}"#.into(), admitted.record)
        }
        ("/v8/artifacts/events", &Method::POST) => {
            app.discard(&admitted.parts, admitted.body);
            json("{}".into(), admitted.record)
        }
        ("/v8/artifacts", &Method::POST) => Box::pin(query::answer(&app, admitted)).await,
        ("/v8/artifacts/{hash}", &Method::GET | &Method::HEAD) => artifacts::read(&app, admitted).await,
        ("/v8/artifacts/{hash}", &Method::PUT | &Method::POST) => {
            Box::pin(artifacts::write(&app, admitted)).await
        }
        _ => not_allowed(&app, admitted, route),
    }
}

/// Without `Authorization` among the allowed headers turbo drops the token from the real request.
fn preflight(Admitted { mut record, .. }: Admitted) -> Reply {
    record.outcome = Outcome::Control;
    let mut reply = Reply::new(StatusCode::OK, Body::empty(), record);
    let headers = reply.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, User-Agent, x-artifact-duration, x-artifact-tag, x-artifact-sha, x-artifact-dirty-hash, x-artifact-client-ci, x-artifact-client-interactive"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, PUT, POST, OPTIONS"),
    );
    reply
}

fn not_allowed(app: &App, admitted: Admitted, route: &str) -> Reply {
    let Admitted {
        parts, body, record, ..
    } = admitted;
    app.discard(&parts, body);
    let mut reply = error::respond(HttpError::new(Class::Invalid, "method not allowed"), record);
    reply.set_status(StatusCode::METHOD_NOT_ALLOWED);
    let allowed = match route {
        "/v8/artifacts/status" => "GET, HEAD, OPTIONS",
        "/v8/artifacts/{hash}" => "GET, HEAD, PUT, POST, OPTIONS",
        _ => "POST, OPTIONS",
    };
    reply
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    reply
}

fn json(text: String, mut record: RequestRecord) -> Reply {
    record.outcome = Outcome::Control;
    let mut reply = Reply::new(StatusCode::OK, Body::from(text), record);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
