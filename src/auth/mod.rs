//! Authentication: from the credentials of a request to an [`Identity`] with its ordered namespaces.
//!
//! The walk of a token: [`Credentials`] (text of the header, size cap) -> [`Authenticator`]
//! (`token_cache`: identities of verified tokens) -> `token` (read, nothing trusted) -> `provider` (the configured
//! issuer: key, signature, claims) -> `scope` (expressions, rights) -> [`Identity`].
//!
//! A job token goes another way: `job_token` (its form, opened by a key of this server) -> `judge` (the rules of now, and
//! what was granted as their bound) -> [`Identity`]. `exchange` makes them.
//!
//! `ticket` stands beside that: permissions that this server gives out itself, for URLs.
//!
//! Invariants:
//! - Nothing named by a token is ever fetched; `iss` only chooses among configured providers.
//! - No token, claim or signature reaches a log or an answer.
//! - A job token never reaches the code that verifies tokens of issuers, and is never worth more than what it was made of.
//! - A request whose token a known key verifies never waits for the network.

mod algorithm;
mod authenticator;
mod base64_any;
mod check;
mod claims;
mod credentials;
mod error;
mod exchange;
mod exchange_error;
mod explain;
mod expr;
mod identity;
mod introspect;
mod issuer;
mod job_token;
mod judge;
mod provider;
mod revoke;
mod run_claims;
mod scope;
mod stats;
mod tenancy;
mod ticket;
mod token;
mod token_cache;
mod unique_map;
mod verify;
mod vouch;

pub use authenticator::Authenticator;
pub use check::Expressions;
pub(crate) use check::read_header;
pub use credentials::Credentials;
pub use error::{CredentialsError, Error, KeyLabel, SetupError, TokenError};
pub use exchange::{ExchangeRequest, IssuedToken};
pub use exchange_error::ExchangeError;
pub use explain::{Explanation, Rights};
pub use expr::{ClaimErrorKind, CompileError, EvalError, Expression, ValueKind};
pub use identity::{ExpiredIdentity, Identity, Namespace, Scope, TokenDigest};
pub use introspect::Introspection;
pub use issuer::{KeyTiming, KeysState, key_file_error, key_token_error};
pub use job_token::{
    JobTokenError, JobTokenForm, JobTokenKeys, JobTokens, NamespaceChoice, NotKeptError, Restriction,
    Revocation, RevocationKeeper, RevokedTokens, RightsChoice, TokenId,
};
pub(crate) use judge::seconds_now;
pub use revoke::{Revocable, RevokeError};
pub use scope::{AcError, Granted, NamespaceSource, RightsError, RulePlace, Rules, RulesError};
pub use stats::AuthStats;
pub use tenancy::{GrantedTenancy, TenantSource};
pub use ticket::{KeyFileError, KeyFileErrorKind, MessageSealer, Sealer, SigningKey, Ticket, TicketError};
pub use vouch::{vouch, vouched, vouched_expired};
