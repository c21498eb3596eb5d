//! By whom uploads are counted.

use std::sync::Arc;

use super::super::upload_note::UploadNote;
use crate::store::Digest;

/// Each upload counts for its namespace and for its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cache::actions) enum UploadOwner {
    /// By its label.
    Namespace(Arc<str>),
    /// By its digest.
    Tenant(Digest),
}

impl UploadOwner {
    pub(in crate::cache::actions) fn namespace(note: &UploadNote) -> Self {
        Self::Namespace(Arc::clone(&note.label))
    }

    /// `None` for what nobody owns.
    pub(in crate::cache::actions) fn tenant(note: &UploadNote) -> Option<Self> {
        Some(Self::Tenant(*note.tenancy.as_ref()?.tenant.digest()))
    }

    /// All for whom an upload counts.
    pub(super) fn all(note: &UploadNote) -> impl Iterator<Item = Self> + use<> {
        [Some(Self::namespace(note)), Self::tenant(note)]
            .into_iter()
            .flatten()
    }
}
