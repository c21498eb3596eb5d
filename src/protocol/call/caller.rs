//! The caller of a request.

use std::sync::Arc;

use super::Call;
use crate::auth::Identity;
use crate::cache::actions::UploadAuth;
use crate::protocol::http_error::HttpError;

impl Call {
    /// The caller by its token. Comes before anything else is looked at, so that a client without a token learns
    /// nothing.
    ///
    /// # Errors
    /// The token is not good, or the request is one that no front-end could understand.
    pub async fn caller(&mut self) -> Result<Arc<Identity>, HttpError> {
        let caller = self.app.caller(&self.parts.headers).await?;
        self.name(&caller);
        self.note_early();
        self.check_target()?;
        Ok(caller)
    }

    /// [`Call::caller`] for the requests that go on with an upload: a save can outlive its token, so one that
    /// has expired is let in as far as it has begun the same upload.
    ///
    /// # Errors
    /// As [`Call::caller`].
    pub async fn upload_auth(&mut self) -> Result<UploadAuth, HttpError> {
        let auth = match self.app.caller(&self.parts.headers).await {
            Ok(caller) => {
                self.name(&caller);
                UploadAuth::Caller(caller)
            }
            Err(error) => match self.app.late_caller(&self.parts.headers, &error) {
                Some(token) => UploadAuth::Expired(token),
                None => return Err(error.into()),
            },
        };
        self.note_early();
        self.check_target()?;
        Ok(auth)
    }

    fn name(&mut self, caller: &Identity) {
        self.record.issuer = Some(Arc::clone(&caller.issuer));
        self.record.namespace = Some(Arc::clone(caller.scope.writable().label()));
    }
}
