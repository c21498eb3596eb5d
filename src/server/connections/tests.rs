//! Which connections end, and when.

use super::*;
use crate::protocol::call::CallerCount;

fn ten_seconds() -> Connections {
    idle_for(10)
}

fn idle_for(keep_alive: u64) -> Connections {
    Connections::new(ConnectionLimits {
        keep_alive: Duration::from_secs(keep_alive),
        places: 8,
        per_address: 8,
    })
}

/// Runs `scenario` on one connection; `ended`: whether its task was aborted.
async fn check(scenario: impl FnOnce(&Connections, &Activity), ended: bool) {
    check_on(ten_seconds(), scenario, ended).await;
}

async fn check_on(connections: Connections, scenario: impl FnOnce(&Connections, &Activity), ended: bool) {
    let activity = connections.activity();
    let mut tasks = tokio::task::JoinSet::new();
    connections.add(&activity, tasks.spawn(std::future::pending::<()>()), || false);
    scenario(&connections, &activity);
    tokio::task::yield_now().await;
    assert_eq!(tasks.try_join_next().is_some(), ended);
}

fn look_at(connections: &Connections, second: u32) {
    connections.0.common.clock.store(second, Relaxed);
    connections.end_idle(second);
}

#[tokio::test]
async fn an_idle_connection_ends_after_keep_alive() {
    check(|connections, _| look_at(connections, 10), false).await;
    check(|connections, _| look_at(connections, 11), true).await;
}

#[tokio::test]
async fn a_head_has_ten_seconds_and_a_request_behind_it_its_own_time() {
    let begin = |connections: &Connections, activity: &Activity| {
        look_at(connections, 5);
        activity.heard(b"GET").unwrap();
    };
    let late = |second| {
        move |connections: &Connections, activity: &Activity| {
            begin(connections, activity);
            drop(activity.begin());
            activity.heard(b"GET").unwrap();
            look_at(connections, second);
        }
    };
    check(late(15), false).await;
    check(late(16), true).await;
}

#[tokio::test]
async fn bytes_of_a_head_do_not_prolong_it() {
    let dribble = |connections: &Connections, activity: &Activity| {
        look_at(connections, 9);
        activity.touch();
        look_at(connections, 11);
    };
    check(dribble, true).await;
}

#[tokio::test]
async fn a_request_under_way_may_take_longer() {
    for (second, has_caller, ended) in [
        (600, true, false),
        (901, true, true),
        (30, false, false),
        (31, false, true),
    ] {
        let mut running = None;
        let scenario = |connections: &Connections, activity: &Activity| {
            running = Some(activity.begin());
            if has_caller {
                activity.0.accepted();
            }
            look_at(connections, second);
        };
        check(scenario, ended).await;
    }
}

/// The time that connections may idle, 120 s by default, is none for bodies of strangers that do not come.
#[tokio::test]
async fn a_stranger_with_a_request_has_thirty_seconds_however_long_others_may_idle() {
    for (second, is_busy, ended) in [
        (30, true, false),
        (31, true, true),
        (120, false, false),
        (121, false, true),
    ] {
        let mut running = None;
        let scenario = |connections: &Connections, activity: &Activity| {
            running = is_busy.then(|| activity.begin());
            look_at(connections, second);
        };
        check_on(idle_for(120), scenario, ended).await;
    }
}

#[tokio::test]
async fn bytes_of_a_request_without_a_caller_do_not_prolong_it() {
    for has_caller in [true, false] {
        let mut running = None;
        let trickle = |connections: &Connections, activity: &Activity| {
            running = Some(activity.begin());
            if has_caller {
                activity.0.accepted();
            }
            for second in (0..=1000).step_by(10) {
                look_at(connections, second);
                activity.touch();
            }
        };
        check(trickle, !has_caller).await;
    }
}

#[tokio::test]
async fn the_clock_begins_anew_when_a_request_has_ended() {
    let again = |connections: &Connections, activity: &Activity| {
        let running = activity.begin();
        look_at(connections, 30);
        drop(running);
        look_at(connections, 40);
        let running = activity.begin();
        look_at(connections, 50);
        drop(running);
        look_at(connections, 60);
    };
    check(again, false).await;
}

/// Sends `rate` bytes a second for eleven seconds; `wanted`: whether others wait for what it reads.
async fn check_reader(rate: u64, wanted: bool, ended: bool) {
    let connections = ten_seconds();
    let activity = connections.activity();
    let mut tasks = tokio::task::JoinSet::new();
    let task = tasks.spawn(std::future::pending::<()>());
    connections.add(&activity, task, move || wanted);
    let _running = activity.begin();
    activity.0.accepted();
    for second in 1..=11 {
        assert_eq!(tasks.len(), 1);
        connections.end_slow(second);
        activity.sent(rate);
    }
    tokio::task::yield_now().await;
    assert_eq!(tasks.try_join_next().is_some(), ended, "{rate}");
}

#[tokio::test]
async fn a_slow_reader_is_ended_only_if_others_need_what_it_holds() {
    check_reader(0, true, true).await;
    check_reader(6 * 1024, true, true).await;
    check_reader(7 * 1024, true, false).await;
    check_reader(0, false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_process_is_not_held_against_clients() {
    let connections = ten_seconds();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connections.clone().run(CancellationToken::new()));
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::task::yield_now().await;
    assert!(connections.0.common.clock.load(Relaxed) <= 2);
}

#[tokio::test]
async fn a_connection_that_ended_is_forgotten() {
    let connections = ten_seconds();
    let activity = connections.activity();
    let mut tasks = tokio::task::JoinSet::new();
    connections.add(&activity, tasks.spawn(async {}), || false);
    drop(activity);
    look_at(&connections, 1);
    assert!(connections.list().is_empty());
}

#[tokio::test]
async fn strangers_have_few_requests_under_way_together() {
    let connections = ten_seconds();
    let mut tasks = tokio::task::JoinSet::new();
    let mut under_way = Vec::new();
    for _ in 0..100 {
        let activity = connections.activity();
        connections.add(&activity, tasks.spawn(std::future::pending::<()>()), || false);
        under_way.extend((0..100).map(|_| activity.begin()));
    }
    // 8 of each connection, and 4096 of all.
    while tasks.len() > 4096 / 92 + 1 {
        tasks.join_next().await.unwrap().unwrap_err();
    }
    let ended = connections.given_way()[Reason::Requests as usize];
    assert_eq!(ended, 100 - 4096 / 92, "each of them once");
    let known = connections.activity();
    known.0.accepted();
    let task = tasks.spawn(std::future::pending());
    connections.add(&known, task.clone(), || false);
    under_way.extend((0..100).map(|_| known.begin()));
    tokio::task::yield_now().await;
    assert!(!task.is_finished(), "it has a caller");
    under_way.clear();
    let later = connections.activity();
    let task = tasks.spawn(std::future::pending());
    connections.add(&later, task.clone(), || false);
    under_way.extend((0..100).map(|_| later.begin()));
    tokio::task::yield_now().await;
    assert!(!task.is_finished(), "the others are gone");
}
