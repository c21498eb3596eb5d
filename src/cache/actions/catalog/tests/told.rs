//! What was answered as saved is told to the other servers, also after a crash.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_commit_stands_and_is_told_when_the_journal_is_back() {
    let journal = Memory::new();
    let (one, two) = (over(&journal), over(&journal));
    journal.down.store(true, Ordering::SeqCst);
    for text in ["a", "b"] {
        commit(&one, &entry(text)).await;
    }
    assert_eq!(find(&one, &["a"]).await.unwrap(), "a");
    assert_eq!(one.stats().unsent, 2);
    journal.down.store(false, Ordering::SeqCst);
    // The clock goes on while nothing else does.
    while one.stats().unsent > 0 {
        crate::tasks::pause(Duration::from_secs(1)).await;
    }
    assert_eq!(find(&two, &["a"]).await.unwrap(), "a");
    assert_eq!(find(&two, &["b"]).await.unwrap(), "b");
}

/// Of a server that is gone without a trace: nothing was written in its end.
fn copied(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("actions")).unwrap();
    for file in std::fs::read_dir(from.join("actions")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join("actions").join(file.file_name())).unwrap();
    }
    copy
}

/// By a server that is new to the journal: others have heard of it by notes.
async fn until_found(journal: &Arc<Memory>, text: &str) {
    let looking = async {
        while find(&over(journal), &[text]).await.as_deref() != Some(text) {
            crate::tasks::pause(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("nobody was told of {text}"));
}

#[tokio::test]
async fn what_a_crash_left_untold_is_told_after_the_start() {
    let (journal, dir, tasks) = (Memory::new(), tempfile::tempdir().unwrap(), Tasks::new());
    let one = with(&journal, Some(dir.path()), &tasks);
    journal.down.store(true, Ordering::SeqCst);
    commit(&one, &entry("saved")).await;
    let crashed = copied(dir.path());
    tasks.finish().await;
    let stopped = copied(dir.path());
    journal.down.store(false, Ordering::SeqCst);
    for dir in [crashed, stopped] {
        journal.objects.lock().unwrap().clear();
        let tasks = Tasks::new();
        let one = with(&journal, Some(dir.path()), &tasks);
        one.loaded().await;
        until_found(&journal, "saved").await;
        tasks.finish().await;
    }
}

#[tokio::test]
async fn what_was_told_long_ago_is_not_told_again_and_what_was_not_is() {
    let (journal, dir) = (Memory::new(), tempfile::tempdir().unwrap());
    let named = |text: &str, millis_ago: u64| {
        let mut one = entry(text);
        one.record.id = Ulid::from_parts(now_millis() - millis_ago, one.record.id.random());
        one
    };
    const MINUTE: u64 = 60_000;
    journal.down.store(true, Ordering::SeqCst);
    let tasks = Tasks::new();
    let one = with(&journal, Some(dir.path()), &tasks);
    // Told or not: older than what a server without a file tells again.
    one.learn(named("ancient", 100 * MINUTE)).await;
    commit(&one, &named("untold", 90 * MINUTE)).await;
    tasks.finish().await;
    journal.down.store(false, Ordering::SeqCst);
    let tasks = Tasks::new();
    let one = with(&journal, Some(dir.path()), &tasks);
    one.loaded().await;
    until_found(&journal, "untold").await;
    assert_eq!(find(&over(&journal), &["ancient"]).await, None);
    tasks.finish().await;
    // Now it says that all were told.
    journal.objects.lock().unwrap().clear();
    let tasks = Tasks::new();
    let one = with(&journal, Some(dir.path()), &tasks);
    one.loaded().await;
    commit(&one, &entry("new")).await;
    until_found(&journal, "new").await;
    tasks.finish().await;
    assert_eq!(find(&over(&journal), &["untold"]).await, None);
}
