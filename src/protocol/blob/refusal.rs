//! The errors that only the dialect of Azure's storage has.

use http::StatusCode;

/// An error that only this dialect has.
#[derive(Debug)]
pub(super) struct BlobRefusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) text: &'static str,
}

impl BlobRefusal {
    pub(super) const FORGED: Self = Self::new(
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "the link was not made by this server",
    );
    pub(super) const EXPIRED: Self = Self::new(
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "the link has expired",
    );
    pub(super) const OTHER_DIRECTION: Self = Self::new(
        StatusCode::FORBIDDEN,
        "AuthorizationPermissionMismatch",
        "the link permits to read or to write, and this is the other one",
    );
    pub(super) const VERB: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UnsupportedHttpVerb",
        "a blob has the methods GET, HEAD and PUT",
    );
    pub(super) const NOT_FOUND: Self = Self::new(
        StatusCode::NOT_FOUND,
        "BlobNotFound",
        "the entry is not there any more",
    );
    pub(super) const RANGE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidHeaderValue",
        "x-ms-range must be one range of bytes",
    );
    pub(super) const KIND: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidHeaderValue",
        "the only known x-ms-blob-type is BlockBlob",
    );
    pub(super) const COPY: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "UnsupportedHeader",
        "a blob cannot be copied from elsewhere",
    );
    pub(super) const COMPONENT: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidQueryParameterValue",
        "the only known values of comp are block and blocklist",
    );
    pub(super) const BLOCK_ID: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidQueryParameterValue",
        "blockid must be the base64 of 1 to 64 bytes",
    );
    pub(super) const NO_BLOCK_ID: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "MissingRequiredQueryParameter",
        "a block needs a blockid",
    );
    pub(super) const XML: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidXmlDocument",
        "the body is not the XML of a block list",
    );
    pub(super) const XML_VALUE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "InvalidXmlNodeValue",
        "an id in the list is not the base64 of 1 to 64 bytes",
    );
    pub(super) const LIST_TOO_LONG: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "BlockListTooLong",
        "a list has at most 50000 blocks",
    );

    const fn new(status: StatusCode, code: &'static str, text: &'static str) -> Self {
        Self { status, code, text }
    }
}
