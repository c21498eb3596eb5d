//! The way of a request through the faults to S3, and of the answer back.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use s3s::HttpError;
use s3s::service::S3Service;

use super::answer::{Answer, End, Flow};
use super::faults::{Action, Faults};
use super::line::Line;
use super::others::Foreign;
use super::request::{Asked, Book};

/// What all connections share.
pub(super) struct Front {
    pub(super) s3: S3Service,
    pub(super) faults: Faults,
    pub(super) book: Book,
}

pub(super) type Answered = Response<s3s::Body>;

pub(super) async fn answer(
    front: Arc<Front>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, HttpError> {
    let asked = Asked::new(&request);
    let actions = match front.faults.take(&asked) {
        Some(Action::All(actions)) => actions,
        one => Vec::from_iter(one),
    };
    let running = front.book.begin(asked, request.headers());
    let response = before(&front.s3, &line, request, &actions).await?;
    let (response, flow) = after(&line, response, actions).await;
    Ok(response.map(|body| Answer::new(body, running, line, flow)))
}

/// The faults of requests.
async fn before(
    s3: &S3Service,
    line: &Line,
    request: Request<Incoming>,
    actions: &[Action],
) -> Result<Answered, HttpError> {
    let mut request = Some(request);
    let mut quirk = None;
    for action in actions {
        if let Some(answered) = stopped(line, &mut request, action).await {
            return Ok(answered);
        }
        if let Action::Quirk(one) = action {
            quirk = Some(*one);
        }
    }
    let request = request.expect("a request that nothing has stopped");
    let mut request = request.map(s3s::Body::from);
    if let Some(quirk) = quirk {
        request.extensions_mut().insert(quirk);
    }
    let mut answer = s3.call(request).await?;
    // As S3 does.
    answer
        .headers_mut()
        .insert("x-amz-request-id", HeaderValue::from_static("0123456789ABCDEF"));
    Ok(answer)
}

/// The answer to a request that never comes to S3.
async fn stopped(line: &Line, request: &mut Option<Request<Incoming>>, action: &Action) -> Option<Answered> {
    let answer = match action {
        Action::Status(status, code) => refusal(*status, code),
        Action::Foreign(foreign) => foreign.answer(),
        Action::RefuseHeader(header, status, code) if request.as_ref()?.headers().contains_key(*header) => {
            refusal(*status, code)
        }
        Action::OneWritePer(pause, times) if times.is_too_soon(request.as_ref()?, *pause) => {
            Foreign::throttled_by_r2().answer()
        }
        Action::Refuse => cut(line, false).await,
        Action::ResetRequest(bytes) => {
            let mut body = request.take()?.into_body();
            let mut read = 0;
            while read < *bytes {
                let Some(Ok(frame)) = body.frame().await else {
                    break;
                };
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            cut(line, true).await
        }
        Action::Hold(gate) => {
            gate.pass().await;
            return None;
        }
        Action::Delay(time) => {
            tokio::time::sleep(*time).await;
            return None;
        }
        _ => return None,
    };
    // Read first: an answer in the middle of an upload may be lost with the connection.
    let _ = request.take()?.into_body().collect().await;
    Some(answer)
}

/// The faults of answers: the changed answer, and how its body leaves.
async fn after(line: &Line, mut response: Answered, actions: Vec<Action>) -> (Answered, Flow) {
    let mut flow = Flow::default();
    for action in actions {
        change(line, &mut response, &mut flow, action).await;
    }
    (response, flow)
}

async fn change(line: &Line, response: &mut Answered, flow: &mut Flow, action: Action) {
    match action {
        Action::LoseAnswer => cut(line, false).await,
        Action::ResetAnswer => cut(line, true).await,
        Action::Deny(status, code) => *response = refusal(status, code),
        Action::Flip => flip(response).await,
        Action::WrongRange => shift_range(response),
        Action::HoldAnswer(gate) => gate.pass().await,
        Action::Reset(bytes) => flow.end = End::Reset(bytes),
        Action::Cut(bytes) => flow.end = End::Cut(bytes),
        Action::Stall(bytes) => flow.end = End::Stall(bytes),
        Action::Rate(bytes) => flow.rate = Some(bytes),
        Action::Pause(bytes, gate) => flow.pause = Some((bytes, gate)),
        Action::Truncate(bytes) => {
            response.headers_mut().remove(CONTENT_LENGTH);
            flow.end = End::Clean(bytes);
        }
        Action::Overstate(bytes) => {
            overstate(response, bytes);
            flow.end = End::Clean(u64::MAX);
        }
        Action::Etag(etag) => {
            response
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static(etag));
        }
        Action::Without(header) => drop(response.headers_mut().remove(header)),
        Action::WeakEtag => weaken(response),
        Action::BareMissing if response.status() == StatusCode::NOT_FOUND => {
            *response = Foreign::new(404, &[], "").answer();
        }
        Action::Swap(body) => {
            response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            *response.body_mut() = s3s::Body::http_body(Full::new(body));
        }
        Action::DenyMissing if response.status() == StatusCode::NOT_FOUND => {
            *response = refusal(StatusCode::FORBIDDEN, "AccessDenied");
        }
        _ => {}
    }
}

/// Makes the ETag a weak one.
fn weaken(response: &mut Answered) {
    if let Some(etag) = response.headers().get(ETAG) {
        let weak = format!("W/{}", etag.to_str().unwrap());
        response.headers_mut().insert(ETAG, weak.parse().unwrap());
    }
}

/// Changes the last byte of the body.
async fn flip(response: &mut Answered) {
    let body = std::mem::take(response.body_mut()).collect().await;
    let mut bytes = body.expect("a body in memory").to_bytes().to_vec();
    *bytes.last_mut().expect("a body that is not empty") ^= 1;
    *response.body_mut() = s3s::Body::from(Bytes::from(bytes));
}

/// Adds one to every number of `Content-Range`.
fn shift_range(response: &mut Answered) {
    let Some(range) = response.headers().get(CONTENT_RANGE) else {
        return;
    };
    let range = range.to_str().unwrap().trim_start_matches("bytes ");
    let numbers: Vec<u64> = range
        .split(['-', '/'])
        .map(|number| number.parse::<u64>().unwrap() + 1)
        .collect();
    let shifted = format!("bytes {}-{}/{}", numbers[0], numbers[1], numbers[2]);
    response
        .headers_mut()
        .insert(CONTENT_RANGE, shifted.parse().unwrap());
}

fn overstate(response: &mut Answered, bytes: u64) {
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let length = length.expect("only an answer with a length can lie about it");
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, (length + bytes).into());
}

/// Ends the connection, and with it this request.
async fn cut<T>(line: &Line, reset: bool) -> T {
    line.cut(reset);
    std::future::pending().await
}

fn refusal(status: StatusCode, code: &str) -> Answered {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>as the test wants \
         it</Message><RequestId>0</RequestId></Error>"
    );
    let mut response = Response::new(s3s::Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    headers.insert("x-amz-request-id", HeaderValue::from_static("0123456789ABCDEF"));
    if status == StatusCode::MOVED_PERMANENTLY {
        headers.insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
    }
    response
}
