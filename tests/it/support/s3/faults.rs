//! What goes wrong, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::watch;

use super::others::{Foreign, WriteTimes};

use super::request::{Asked, Kind};
use crate::support::wait::TEST_TIMEOUT;

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// This status with this code in an S3 error document. Nothing is changed.
    Status(StatusCode, &'static str),
    /// The connection closes before any answer. Nothing is changed.
    Refuse,
    /// The connection is reset when so many bytes of the request's body have come. Nothing is changed.
    ResetRequest(u64),
    /// The change is made, its answer is lost with the connection.
    LoseAnswer,
    /// The change is made, but the answer is this status with this code.
    Deny(StatusCode, &'static str),
    /// The connection is reset after so many bytes of the answer's body, which has to be longer.
    Reset(u64),
    /// The connection ends after so many bytes of the answer's body, which has to be longer.
    Cut(u64),
    /// Nothing more comes after so many bytes of the answer's body, which has to be longer.
    Stall(u64),
    /// After so many bytes of the answer's body, the rest waits; it has to be longer.
    Pause(u64, Gate),
    /// The body ends after so many bytes; a clean end, without a `Content-Length`.
    Truncate(u64),
    /// `Content-Length` says so many bytes too much; after the body the connection closes.
    Overstate(u64),
    /// At most so many bytes of the answer's body a second.
    Rate(u64),
    /// The request waits before anything is done.
    Hold(Gate),
    /// All is done, the answer waits.
    HoldAnswer(Gate),
    /// The answer has this ETag, quotes included.
    Etag(&'static str),
    /// The answer has this body; its other headers stay.
    Swap(Bytes),
    /// The last byte of the answer's body is another one.
    Flip,
    /// The answer says that it is the range one byte further on.
    WrongRange,
    /// S3 itself behaves in another way. Only with [`super::S3Server::memory`].
    Quirk(Quirk),
    /// 403 in the place of 404, as for a caller who may not list.
    DenyMissing,
    /// The change is made, the connection is reset.
    ResetAnswer,
    /// This answer, from whoever sits there. Nothing is changed.
    Foreign(Foreign),
    /// This status with this code for requests with this header. Nothing is changed.
    RefuseHeader(&'static str, StatusCode, &'static str),
    /// The answer does not have this header.
    Without(&'static str),
    /// 404 has neither code nor document.
    BareMissing,
    /// The answer has a weak ETag.
    WeakEtag,
    /// A slow server: the answer begins so much later.
    Delay(Duration),
    /// 429 for another write of the same object within this time.
    OneWritePer(Duration, WriteTimes),
    /// Several of these at once, those of requests in their order.
    All(Vec<Action>),
}

/// What some stores do otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// `Range` is not understood.
    IgnoreRange,
    /// `If-Match` is not understood.
    IgnoreIfMatch,
    /// `If-None-Match` and `If-Match` of writes are not understood.
    IgnoreWriteConditions,
    /// A conflict at the completion of an upload ends the upload.
    EndUpload,
}

impl Action {
    pub(crate) fn status(status: u16, code: &'static str) -> Self {
        Self::Status(StatusCode::from_u16(status).unwrap(), code)
    }

    pub(crate) fn internal_error() -> Self {
        Self::status(500, "InternalError")
    }

    /// The change is made all the same.
    pub(crate) fn late_internal_error() -> Self {
        Self::Deny(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
    }

    pub(crate) fn slow_down() -> Self {
        Self::status(503, "SlowDown")
    }

    pub(crate) fn access_denied() -> Self {
        Self::status(403, "AccessDenied")
    }

    pub(crate) fn clock_skew() -> Self {
        Self::status(403, "RequestTimeTooSkewed")
    }

    pub(crate) fn expired_token() -> Self {
        Self::status(400, "ExpiredToken")
    }

    /// Names another region, too.
    pub(crate) fn redirect() -> Self {
        Self::status(301, "PermanentRedirect")
    }

    pub(crate) fn no_bucket() -> Self {
        Self::status(404, "NoSuchBucket")
    }

    pub(crate) fn precondition_failed() -> Self {
        Self::status(412, "PreconditionFailed")
    }

    /// What S3 says to one of two conditional writes at the same moment.
    pub(crate) fn conflict() -> Self {
        Self::status(409, "ConditionalRequestConflict")
    }
}

/// Which requests a fault is about. A [`Kind`] becomes one, and so does a list of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Which {
    kinds: Vec<Kind>,
    object: Option<String>,
    part: Option<u32>,
}

impl Which {
    /// All requests.
    pub(crate) fn any() -> Self {
        Self::default()
    }

    /// Only those for an object whose name contains `part`.
    pub(crate) fn of(mut self, part: &str) -> Self {
        self.object = Some(part.to_owned());
        self
    }

    /// Only those for this part of an upload.
    pub(crate) fn part(mut self, number: u32) -> Self {
        self.part = Some(number);
        self
    }

    fn fits(&self, asked: &Asked) -> bool {
        let object = self.object.as_ref();
        (self.kinds.is_empty() || self.kinds.contains(&asked.kind))
            && (self.part.is_none() || self.part == asked.part)
            && object.is_none_or(|part| asked.object.contains(part))
    }
}

impl From<Kind> for Which {
    fn from(kind: Kind) -> Self {
        [kind].into()
    }
}

impl<const N: usize> From<[Kind; N]> for Which {
    fn from(kinds: [Kind; N]) -> Self {
        Self {
            kinds: kinds.into(),
            ..Self::default()
        }
    }
}

/// The switch of a server; a clone is the same. Of several faults for a request, the one that was set
/// first happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Rule>>>);

#[derive(Debug)]
struct Rule {
    which: Which,
    action: Action,
    /// How many more requests pass without harm.
    skip: u64,
    /// How many it then happens to.
    times: u64,
}

impl Faults {
    /// Every such request from now on.
    pub(crate) fn always(&self, which: impl Into<Which>, action: Action) {
        self.set(which, 0, u64::MAX, action);
    }

    /// The next such request.
    pub(crate) fn once(&self, which: impl Into<Which>, action: Action) {
        self.set(which, 0, 1, action);
    }

    /// The next `times` such requests.
    pub(crate) fn times(&self, which: impl Into<Which>, times: u64, action: Action) {
        self.set(which, 0, times, action);
    }

    /// The `nth` such request from now on, counted from 1.
    pub(crate) fn nth(&self, which: impl Into<Which>, nth: u64, action: Action) {
        self.set(which, nth - 1, 1, action);
    }

    /// What a caller without the right to list sees: no lists, and 403 for what is not there.
    pub(crate) fn deny_list(&self) {
        self.always([Kind::List, Kind::ListUploads], Action::access_denied());
        self.always([Kind::Get, Kind::Head], Action::DenyMissing);
    }

    /// Nothing goes wrong any more. What is stalled or held stays so.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn set(&self, which: impl Into<Which>, skip: u64, times: u64, action: Action) {
        self.0.lock().unwrap().push(Rule {
            which: which.into(),
            action,
            skip,
            times,
        });
    }

    /// What happens to this request.
    pub(super) fn take(&self, asked: &Asked) -> Option<Action> {
        let mut rules = self.0.lock().unwrap();
        for rule in rules.iter_mut().filter(|rule| rule.which.fits(asked)) {
            // What is to happen a few times is not for those who look whether the store is there.
            if rule.times < u64::MAX / 2 && asked.is_probe() {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                return Some(rule.action.clone());
            }
        }
        None
    }
}

/// Holds requests until a test opens it; a clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<watch::Sender<(bool, usize)>>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new((false, 0))))
    }

    /// Lets all pass, also those that come later.
    pub(crate) fn open(&self) {
        self.0.send_modify(|(open, _)| *open = true);
    }

    /// Waits until so many requests have come to it.
    pub(crate) async fn reached(&self, requests: usize) {
        let mut state = self.0.subscribe();
        let enough = state.wait_for(|(_, arrived)| *arrived >= requests);
        let wait = tokio::time::timeout(TEST_TIMEOUT, enough);
        wait.await.expect("too few requests came to the gate").unwrap();
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|(_, arrived)| *arrived += 1);
        self.0.subscribe().wait_for(|(open, _)| *open).await.unwrap();
    }
}
