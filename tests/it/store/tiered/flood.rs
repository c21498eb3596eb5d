//! One tenant floods while S3 is away.

use std::sync::Arc;

use chacha::store::{Meta, Precondition, Rank, Result, Store, Tenancy, Tenant};

use super::super::support::*;
use super::rig::{Pair, back};
use crate::support::s3::S3Server;

async fn write(pair: &Pair, tenant: &str, name: usize) -> Result<Arc<Meta>> {
    let bytes = body(MIB, name as u64);
    let name = format!("{tenant}/{name}");
    let tenant = Tenant::new("https://issuer", tenant, None).unwrap();
    let spools = pair.disk.spools().of(Some(&tenant));
    let key = key(&name).asked_by(tenant.asker());
    let mut draft = draft();
    let rank = Rank::Pushed;
    draft.origin.tenancy = Some(Tenancy { tenant, rank });
    let body = spool(&spools, &bytes).await?;
    let stored = pair.tiered.put(&key, draft, body, Precondition::None).await;
    stored.map(|stored| stored.meta)
}

#[tokio::test]
async fn while_s3_is_away_a_flood_of_one_tenant_is_refused_and_others_still_write_and_read() {
    let change = |plan: &mut super::rig::Plan| {
        back(plan);
        plan.policy.queue_limit = 16 << 20;
    };
    let pair = Pair::with(Arc::new(S3Server::memory()), change).await;
    pair.s3.stop_listening().await;
    let mut taken = 0;
    for name in 0..40 {
        taken += usize::from(write(&pair, "flood", name).await.is_ok());
    }
    assert_eq!(taken, 13);
    for name in 0..2 {
        write(&pair, "quiet", name).await.unwrap();
    }
    assert!(pair.disk.stats().pinned <= 16 << 20);
    assert!(write(&pair, "flood", 40).await.is_err());
    assert!(pair.get("quiet/1").await.unwrap() == body(MIB, 1));
    assert!(pair.get("flood/12").await.unwrap() == body(MIB, 12));
    pair.s3.resume();
    pair.drained().await;
    assert_eq!(pair.s3.objects().len(), 15);
    write(&pair, "flood", 40).await.unwrap();
}
