//! Time shared fairly among tenants: who is next when more is asked for than can be done at once.
//!
//! Whoever finds a free permit takes it, and waits for nobody. Otherwise the next one that is given back goes to the
//! tenant that holds the fewest, and among equals to the one whose last turn was the longest ago. So a tenant with a
//! thousand requests that wait delays another one by no more than the time until any permit comes back. What this server
//! does for nobody in particular is a tenant like the others ([`Asker::SERVER`]).

mod asker;
mod files;
mod line;
mod semaphore;

pub use asker::Asker;
#[cfg(test)]
pub(crate) use files::MAX_FILE_TURNS;
pub(crate) use files::file_turn;
pub(crate) use semaphore::{FairPermit, FairSemaphore};

#[cfg(test)]
mod tests;
