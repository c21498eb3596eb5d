//! The two forms of a Twirp message. The answer has the form of the request.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::call::Reply;

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageForm {
    Json,
    Protobuf,
}

impl MessageForm {
    /// By the media type; its parameters (`charset`) say nothing new.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media = value.split(';').next().unwrap_or_default().trim();
        match media.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/protobuf",
        }
    }
}

/// A message; `None` if the bytes are none.
pub(crate) fn read<T: Message + Default + DeserializeOwned>(form: MessageForm, bytes: &[u8]) -> Option<T> {
    match form {
        // serde would take a list of values for an object, too.
        MessageForm::Json if !bytes.trim_ascii_start().starts_with(b"{") => None,
        MessageForm::Json => serde_json::from_slice(bytes).ok(),
        MessageForm::Protobuf => T::decode(bytes).ok(),
    }
}

/// An answer.
pub(super) fn reply<T: Message + Serialize>(form: MessageForm, message: &T) -> Reply {
    let bytes = match form {
        // Strings, numbers and booleans only, so this cannot fail.
        MessageForm::Json => serde_json::to_vec(message).unwrap_or_default(),
        MessageForm::Protobuf => message.encode_to_vec(),
    };
    let mut reply = Reply::new(StatusCode::OK, Body::from(bytes));
    let media_type = HeaderValue::from_static(form.media_type());
    reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_media_type_change_nothing() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(value));
            MessageForm::of(&headers)
        };
        assert_eq!(of("application/json"), Some(MessageForm::Json));
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(MessageForm::Json));
        assert_eq!(of("application/protobuf"), Some(MessageForm::Protobuf));
        for other in ["", "text/plain", "application/jsonx", "application/grpc", "json"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(MessageForm::of(&HeaderMap::new()), None);
    }
}
