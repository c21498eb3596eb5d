//! One round: a world, clients and faults at once; then rest, and everything is looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::actions;
use crate::client::{self, Client};
use crate::crowd::Crowd;
use crate::drain;
use crate::faults::{self, Tormentor};
use crate::flood::{FLOODERS, Flooder};
use crate::history::{Slot, WITNESS};
use crate::inspect;
use crate::oracle::{self, Rules};
use crate::plan::{Mode, Plan, Tiers};
use crate::process::Server;
use crate::quiet::Quiet;
use crate::report::Report;
use crate::rng::Rng;
use crate::world::{OPEN_FILES, World};

const CLIENTS: u64 = 10;
/// The same beside a crowd.
const CLIENTS_IN_A_CROWD: u64 = 3;
/// A bucket counts as back, the queue is empty, the others have heard.
const REST_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const REST_PAUSE: Duration = Duration::from_millis(100);
/// What replicas promise is 1 s; a busy machine adds to it.
const LAG: Duration = Duration::from_secs(3);
/// A debug build with all its threads.
const MAX_MEMORY_BYTES: u64 = 400 << 20;
/// Besides entries: sockets, logs, locks.
pub(crate) const MAX_OTHER_DESCRIPTORS: usize = 80;
/// What the account may hold besides files: room for files that are rewritten (index, ledger).
const MISCOUNT_BYTES: u64 = 512 << 10;
/// What may be written between the two looks.
const UNCOUNTED_BYTES: u64 = 64 << 10;
/// Hundredths of a second in one second of rest.
const MAX_IDLE_PROCESSOR: u64 = 30;

/// Runs a round; true if nothing was wrong.
pub(crate) async fn run(plan: &Plan, seed: u64, mode: Mode, stepper: Option<PathBuf>) -> bool {
    let begin = Instant::now();
    let mut rng = Rng::new(seed ^ (mode.to_string().len() as u64) << 32);
    let report = Report::new(seed, mode, &plan.reports);
    let world = Arc::new(World::new(plan, mode, &mut rng, report).await);
    for server in &world.servers {
        faults::start(&world, server, None).await;
    }
    torment(&world, plan, &mut rng, stepper).await;
    if rest(&world).await {
        look_at_all(&world).await;
        for server in &world.servers {
            quiet(&world, server).await;
        }
    }
    stop(&world).await;
    judge(&world);
    let summary = world.report.summary(begin.elapsed().as_secs_f64());
    if world.report.has_failed() {
        world
            .report
            .save(world.path())
            .expect("the folder for reports can be written");
    }
    print(&summary);
    !world.report.has_failed()
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Clients and faults at once.
async fn torment(world: &Arc<World>, plan: &Plan, rng: &mut Rng, stepper: Option<PathBuf>) {
    let stop = Arc::new(AtomicBool::new(false));
    let crowd = world.mode.crowd;
    let count = if crowd.is_some() {
        CLIENTS_IN_A_CROWD
    } else {
        CLIENTS
    };
    let mut clients: Vec<_> = (1..=count)
        .map(|name| {
            let client = Client {
                world: world.clone(),
                rng: rng.fork(name),
                name,
            };
            tokio::spawn(client.work(stop.clone()))
        })
        .collect();
    let mut tormentor = Tormentor::new(world.clone(), rng.fork(0), stepper, plan.without.clone());
    let quiet = crowd.map(|crowd| flood(world, crowd, rng, &stop, &mut clients));
    tormentor.work(plan.work).await;
    let mut quiet = match quiet {
        Some(quiet) => Some(after_flood(world, plan, &stop, std::mem::take(&mut clients), quiet).await),
        None => None,
    };
    if let Some(bucket) = &world.bucket {
        // Answers that were still to be lost.
        bucket.faults().clear();
    }
    // Half of the rounds end with a crash, the others with a stop, so that nothing of the stepper is left.
    for server in &world.servers {
        end(world, server, rng).await;
    }
    if let Some(quiet) = &mut quiet {
        quiet.look("after the end of the server").await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client does not panic");
    }
}

/// Begins a flood, and the tenant that must not notice.
fn flood(
    world: &Arc<World>,
    crowd: Crowd,
    rng: &mut Rng,
    stop: &Arc<AtomicBool>,
    clients: &mut Vec<JoinHandle<()>>,
) -> JoinHandle<Quiet> {
    clients.extend((0..FLOODERS).map(|nth| {
        let flooder = Flooder {
            world: world.clone(),
            rng: rng.fork(1000 + nth),
            crowd,
        };
        tokio::spawn(flooder.work(stop.clone()))
    }));
    tokio::spawn(Quiet::new(world.clone(), rng.fork(999), crowd).work(stop.clone()))
}

/// Ends everything that clients do, and looks at what is left of it.
async fn after_flood(
    world: &Arc<World>,
    plan: &Plan,
    stop: &AtomicBool,
    clients: Vec<JoinHandle<()>>,
    quiet: JoinHandle<Quiet>,
) -> Quiet {
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let mut quiet = quiet.await.expect("the quiet tenant does not panic");
    for server in &world.servers {
        if server.has_ended().is_some() || server.is_stepped() {
            server.kill();
            faults::start(world, server, None).await;
        }
        faults::measure(world, server);
        drain::look(world, server, plan.has_time).await;
    }
    quiet.look("after the flood").await;
    quiet
}

async fn end(world: &World, server: &Server, rng: &mut Rng) {
    let began = world.history.now();
    if rng.chance(50) {
        server.kill();
    } else if let Err(why) = server.terminate().await {
        world
            .report
            .fault(format!("stop: server {}: {why}", server.index));
    }
    faults::start(world, server, None).await;
    world.history.mark(|marks, now| marks.troubles.push((began, now)));
}

/// Waits until nothing is under way; false if that never comes.
async fn rest(world: &World) -> bool {
    let begin = Instant::now();
    for server in &world.servers {
        while let Some(why) = restless(world, server).await {
            if begin.elapsed() > REST_TIMEOUT {
                let spent = idle_processor(server).await;
                let words = server.last_words();
                world.report.fault(format!(
                    "rest: server {} after {REST_TIMEOUT:?}: {why}, takes {spent} % of a processor: {words}",
                    server.index
                ));
                return false;
            }
            tokio::time::sleep(REST_PAUSE).await;
        }
    }
    world
        .report
        .figure("ms to rest", begin.elapsed().as_millis() as u64);
    if world.mode.servers > 1 {
        tokio::time::sleep(LAG).await;
    }
    world.history.mark(|marks, now| marks.settled.push(now));
    true
}

/// Why a server is not at rest.
async fn restless(world: &World, server: &Server) -> Option<String> {
    let Some(page) = server.page("/metrics").await else {
        return Some("no metrics".into());
    };
    is_resting(world, &page).err()
}

fn is_resting(world: &World, page: &str) -> Result<(), String> {
    let value = |name| inspect::metric(page, name).ok_or_else(|| format!("no metric {name}"));
    let mut zero = vec!["chacha_disk_indexing"];
    if world.bucket.is_some() {
        zero.extend([
            "chacha_upload_queue_entries",
            "chacha_s3_requests_running",
            "chacha_actions_untold_entries",
        ]);
        if value("chacha_s3_up")? == 0.0 {
            return Err("the bucket counts as down".into());
        }
    }
    let others = world.mode.servers as f64 - 1.0;
    if others > 0.0 && value("chacha_actions_other_servers")? < others {
        return Err("it does not know the other server".into());
    }
    for name in zero {
        let left = value(name)?;
        if left != 0.0 {
            return Err(format!("{name} {left}"));
        }
    }
    Ok(())
}

/// Looks at every slot through every server, and through one that has only the bucket.
async fn look_at_all(world: &Arc<World>) {
    let slots = world.history.slots();
    let mut views: Vec<usize> = world.servers.iter().map(|server| server.index).collect();
    let witness = world.bucket.is_some().then(|| world.witness());
    if let Some(witness) = &witness
        && faults::start(world, witness, None).await
    {
        views.push(WITNESS);
    }
    for view in views {
        for slot in &slots {
            if !look(world, slot, view).await {
                world.report.fault(format!(
                    "look: server {view} has no usable answer for {slot:?} at rest"
                ));
            }
        }
    }
}

async fn look(world: &World, slot: &Slot, view: usize) -> bool {
    match slot.actions {
        true => actions::look(world, slot, view, true).await,
        false => client::look(world, slot, view, true).await,
    }
}

/// Hundredths of a processor that a server takes now.
async fn idle_processor(server: &Server) -> u64 {
    let spent = || server.pid().map_or(0, |pid| inspect::held(pid).processor);
    let before = spent();
    tokio::time::sleep(Duration::from_secs(1)).await;
    spent().saturating_sub(before)
}

/// What a server holds when nobody asks anything of it.
async fn quiet(world: &World, server: &Server) {
    let Some(pid) = server.pid() else { return };
    faults::measure(world, server);
    let spent = idle_processor(server).await;
    let after = inspect::held(pid);
    let index = server.index;
    world.report.figure("processor at rest, %", spent);
    if spent > MAX_IDLE_PROCESSOR {
        world.report.fault(format!(
            "busy: server {index} at rest takes {spent} % of a processor"
        ));
    }
    if after.descriptors > OPEN_FILES + MAX_OTHER_DESCRIPTORS {
        world.report.fault(format!(
            "leak: server {index} at rest holds {} descriptors",
            after.descriptors
        ));
    }
    if after.peak_memory > MAX_MEMORY_BYTES {
        world
            .report
            .fault(format!("memory: server {index} took {} bytes", after.peak_memory));
    }
    account(world, server).await;
}

/// Whether the server counts what `du` counts.
async fn account(world: &World, server: &Server) {
    let Some(page) = server.page("/metrics").await else {
        return;
    };
    let bytes = |name| inspect::metric(&page, name).map(|bytes| bytes as u64);
    // Uploads that have begun hold what they reserved.
    let (Some(used), Some(reserved)) = (
        bytes("chacha_disk_used_bytes"),
        bytes("chacha_disk_reserved_bytes"),
    ) else {
        return world
            .report
            .fault(format!("account: server {} does not tell it", server.index));
    };
    let taken = inspect::du(&server.dir());
    let over = used.saturating_sub(taken);
    world.report.figure("bytes counted too many", over);
    if taken > used + reserved + UNCOUNTED_BYTES || over > MISCOUNT_BYTES {
        let parts = inspect::du_of_parts(&server.dir());
        let index = server.index;
        world.report.fault(format!(
            "account: server {index} at rest: {used} bytes used, {reserved} reserved, du {taken} ({parts})"
        ));
    }
}

/// Stops all servers; nothing temporary may be left.
async fn stop(world: &World) {
    for server in &world.servers {
        if let Err(why) = server.terminate().await {
            world
                .report
                .fault(format!("stop: server {}: {why}", server.index));
        }
        for file in inspect::files(&server.dir().join("tmp")) {
            world
                .report
                .fault(format!("left: server {}: {}", server.index, file.display()));
        }
        for panic in server.panics() {
            world
                .report
                .fault(format!("panic: server {}: {panic}", server.index));
        }
    }
}

fn judge(world: &World) {
    let (tracks, marks) = world.history.tracks();
    let since = *world.power_loss.lock().unwrap();
    for (slot, track) in tracks {
        let rules = Rules {
            lag: LAG.as_micros() as u64,
            keeps: world.mode.tiers != Tiers::Disk,
            queues: world.mode.servers > 1 && (world.mode.tiers == Tiers::Back || marks.outages > 0),
            since,
        };
        let kind = if slot.actions { "actions" } else { "key" };
        for fault in oracle::judge(&track, &marks, rules) {
            let (name, rest) = fault.split_once(": ").unwrap_or(("fault", &fault));
            let name = if name.starts_with("server") { "order" } else { name };
            world.report.fault(format!(
                "{name}: {kind} {} of tenant {}: {rest}",
                slot.key, slot.tenant
            ));
        }
    }
}
