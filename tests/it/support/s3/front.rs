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
use super::request::{Asked, Book};

/// What all connections share.
pub(super) struct Front {
    pub(super) s3: S3Service,
    pub(super) faults: Faults,
    pub(super) book: Book,
}

type Answered = Response<s3s::Body>;

pub(super) async fn answer(
    front: Arc<Front>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, HttpError> {
    let asked = Asked::new(&request);
    let action = front.faults.take(&asked);
    let running = front.book.begin(asked, request.headers());
    let response = before(&front.s3, &line, request, action.as_ref()).await?;
    let (response, flow) = after(&line, response, action).await;
    Ok(response.map(|body| Answer::new(body, running, line, flow)))
}

/// The faults of requests.
async fn before(
    s3: &S3Service,
    line: &Line,
    request: Request<Incoming>,
    action: Option<&Action>,
) -> Result<Answered, HttpError> {
    match action {
        Some(Action::Status(status, code)) => {
            // Read first: an answer in the middle of an upload may be lost with the connection.
            let _ = request.into_body().collect().await;
            Ok(refusal(*status, code))
        }
        Some(Action::Refuse) => cut(line, false).await,
        Some(Action::ResetRequest(bytes)) => {
            let mut body = request.into_body();
            let mut read = 0;
            while read < *bytes {
                let Some(Ok(frame)) = body.frame().await else {
                    break;
                };
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            cut(line, true).await
        }
        Some(Action::Hold(gate)) => {
            gate.pass().await;
            s3.call(request.map(s3s::Body::from)).await
        }
        Some(Action::Quirk(quirk)) => {
            let mut request = request.map(s3s::Body::from);
            request.extensions_mut().insert(*quirk);
            s3.call(request).await
        }
        _ => s3.call(request.map(s3s::Body::from)).await,
    }
}

/// The faults of answers: the changed answer, and how its body leaves.
async fn after(line: &Line, mut response: Answered, action: Option<Action>) -> (Answered, Flow) {
    let mut flow = Flow::default();
    match action {
        Some(Action::LoseAnswer) => cut(line, false).await,
        Some(Action::Deny(status, code)) => response = refusal(status, code),
        Some(Action::Flip) => flip(&mut response).await,
        Some(Action::WrongRange) => shift_range(&mut response),
        Some(Action::HoldAnswer(gate)) => gate.pass().await,
        Some(Action::Reset(bytes)) => flow.end = End::Reset(bytes),
        Some(Action::Cut(bytes)) => flow.end = End::Cut(bytes),
        Some(Action::Stall(bytes)) => flow.end = End::Stall(bytes),
        Some(Action::Rate(bytes)) => flow.rate = Some(bytes),
        Some(Action::Pause(bytes, gate)) => flow.pause = Some((bytes, gate)),
        Some(Action::Truncate(bytes)) => {
            response.headers_mut().remove(CONTENT_LENGTH);
            flow.end = End::Clean(bytes);
        }
        Some(Action::Overstate(bytes)) => {
            overstate(&mut response, bytes);
            flow.end = End::Clean(u64::MAX);
        }
        Some(Action::Etag(etag)) => {
            response
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static(etag));
        }
        Some(Action::Swap(body)) => {
            response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            *response.body_mut() = s3s::Body::http_body(Full::new(body));
        }
        Some(Action::DenyMissing) if response.status() == StatusCode::NOT_FOUND => {
            response = refusal(StatusCode::FORBIDDEN, "AccessDenied");
        }
        _ => {}
    }
    (response, flow)
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
    if status == StatusCode::MOVED_PERMANENTLY {
        headers.insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
    }
    response
}
