//! What is tried again beyond what the SDK knows: answers are judged by their status, whatever their body is.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::retries::classifiers::{RetryClassifierPriority, RetryReason};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::retry::ErrorKind;

/// The longest pause that a server may ask for. The SDK bounds it once more, by a few seconds.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct StatusClassifier;

impl ClassifyRetry for StatusClassifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        let Some(response) = context.response() else {
            return RetryAction::NoActionIndicated;
        };
        let known = match previous {
            RetryAction::RetryIndicated(RetryReason::RetryableError { kind, .. }) => Some(*kind),
            _ => None,
        };
        let Some(kind) = kind(response.status().as_u16()).or(known) else {
            return RetryAction::NoActionIndicated;
        };
        match retry_after(response) {
            Some(pause) => RetryAction::retryable_error_with_explicit_delay(kind, pause),
            // What the SDK found may have a pause of its own.
            None if known.is_some() => RetryAction::NoActionIndicated,
            None => RetryAction::retryable_error(kind),
        }
    }

    fn name(&self) -> &'static str {
        "Status"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// What a status says, if another attempt may help.
fn kind(status: u16) -> Option<ErrorKind> {
    match status {
        429 => Some(ErrorKind::ThrottlingError),
        // What a server does not implement it will not implement in a second, either.
        501 | 505 => None,
        408 | 500..=599 => Some(ErrorKind::TransientError),
        _ => None,
    }
}

/// How long the server wants to be left alone: seconds or a date.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::from_str(text, Format::HttpDate).ok()?;
            let date = SystemTime::try_from(date).ok()?;
            date.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::SdkBody;

    fn asked(value: &'static str) -> Option<Duration> {
        let answer = http::Response::builder().header("retry-after", value);
        let answer = answer.body(SdkBody::empty()).expect("answer");
        retry_after(&HttpResponse::try_from(answer).expect("answer"))
    }

    #[test]
    fn pauses_are_read_in_both_forms_and_bounded() {
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("86400"), Some(MAX_RETRY_AFTER));
        assert_eq!(asked("Wed, 21 Oct 2099 07:28:00 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504, 507, 520, 529, 599] {
            assert!(kind(status).is_some(), "{status}");
        }
        for status in [200, 206, 304, 400, 403, 404, 409, 412, 416, 501, 505] {
            assert!(kind(status).is_none(), "{status}");
        }
    }
}
