//! No two tuples share a canonical form: the known collisions of glued names, and properties.

use proptest::prelude::*;

use super::*;

const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// All parts of a key, as plain data.
type KeyParts = (String, String, Protocol, String, Option<String>);

fn key((issuer, namespace, protocol, key, version): &KeyParts) -> StoreKey {
    let part = |text: &String| Arc::from(text.as_str());
    let plain = StoreKey::new(part(issuer), part(namespace), *protocol, part(key));
    match version {
        Some(version) => plain.with_version(part(version)),
        None => plain,
    }
}

fn http(namespace: &str, name: &str) -> StoreKey {
    StoreKey::new(ISSUER.into(), namespace.into(), Protocol::Http, name.as_bytes())
}

fn gha(namespace: &str, name: &str, version: &str) -> StoreKey {
    StoreKey::new(ISSUER.into(), namespace.into(), Protocol::Gha, name.as_bytes())
        .with_version(version.into())
}

#[track_caller]
fn check_apart(a: &StoreKey, b: &StoreKey) {
    assert_ne!(a, b);
    assert_ne!(a.canonical(), b.canonical());
    assert_ne!(a.digest(), b.digest());
}

#[test]
fn branch_cannot_poison_branch() {
    check_apart(
        &http("github/acme/app/refs/heads/mai", "nlib.o"),
        &http("github/acme/app/refs/heads/main", "lib.o"),
    );
}

#[test]
fn repository_cannot_read_repository() {
    check_apart(
        &http("github/acme/app", "2/refs/heads/mainlib.o"),
        &http("github/acme/app2/refs/heads/main", "lib.o"),
    );
}

#[test]
fn repository_cannot_write_into_repository() {
    check_apart(
        &http("github/acme/ap", "plib.o"),
        &http("github/acme/app", "lib.o"),
    );
    check_apart(
        &http("github/acme/app", "2lib.o"),
        &http("github/acme/app2", "lib.o"),
    );
}

#[test]
fn fallback_does_not_overlap_the_first_namespace() {
    check_apart(
        &http("github/acme/app", "/refs/heads/mainK"),
        &http("github/acme/app/refs/heads/main", "K"),
    );
}

#[test]
fn key_and_version_do_not_merge() {
    check_apart(&gha("n", "a", "b-c"), &gha("n", "a-b", "c"));
    check_apart(&gha("n", "ab", ""), &gha("n", "a", "b"));
}

#[test]
fn one_protocol_cannot_forge_an_entry_of_another() {
    check_apart(&http("n", "k-v"), &gha("n", "k", "v"));
    for (index, &a) in Protocol::ALL.iter().enumerate() {
        for &b in &Protocol::ALL[index + 1..] {
            let of = |protocol| StoreKey::new(ISSUER.into(), "n".into(), protocol, "k".as_bytes());
            check_apart(&of(a), &of(b));
        }
    }
}

#[test]
fn an_empty_version_is_not_an_absent_one() {
    let plain = StoreKey::new(ISSUER.into(), "n".into(), Protocol::Gha, "k".as_bytes());
    check_apart(&plain, &gha("n", "k", ""));
}

#[test]
fn two_issuers_with_equal_namespaces_are_apart() {
    let of = |issuer: &str| StoreKey::new(issuer.into(), "acme/app".into(), Protocol::Http, "k".as_bytes());
    check_apart(&of("https://gitlab.com"), &of("https://gitlab.acme.test"));
    check_apart(&of("https://gitlab.com"), &of("https://gitlab.com/"));
}

#[test]
fn nothing_is_normalised() {
    let names = [
        "ref",
        "Ref",
        "ref/",
        "/ref",
        "./ref",
        "x/../ref",
        "r%65f",
        "ref\0",
        "ref\n",
        "ref ",
        "r\u{e9}f",
        "re\u{301}f",
        "ref%2F",
        "ref%2f",
    ];
    for (index, a) in names.iter().enumerate() {
        for b in &names[index + 1..] {
            check_apart(&http(a, "k"), &http(b, "k"));
            check_apart(&http("n", a), &http("n", b));
        }
    }
}

#[test]
fn debug_output_shows_no_part() {
    let shown = format!("{:?}", gha("namespace-x", "key-x", "version-x"));
    assert!(!shown.contains("-x"), "{shown}");
    assert_eq!(shown.len(), "StoreKey()".len() + 16);
}

/// Takes a canonical form apart. That this works is why two tuples can never share one.
fn decode(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(String::from_utf8(part.to_vec()).ok()?);
        bytes = rest;
    }
    Some(parts)
}

/// Short texts of few characters, so that glued forms would often collide; and any text.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ab/.\\-\0]{0,4}",
        2 => any::<String>(),
        1 => "[a-z/]{200,300}",
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(Protocol::ALL)
}

fn parts() -> impl Strategy<Value = KeyParts> {
    (part(), part(), protocol(), part(), prop::option::of(part()))
}

/// Moves `count` characters from the end of one part to the start of the next: the attack on glued names.
fn shifted(parts: &KeyParts, from: usize, count: usize) -> KeyParts {
    let mut all = parts.clone();
    let (left, right) = match (from, &mut all.4) {
        (0, _) => (&mut all.0, &mut all.1),
        (1, _) => (&mut all.1, &mut all.3),
        (_, Some(version)) => (&mut all.3, version),
        (_, None) => (&mut all.1, &mut all.3),
    };
    let cut = left.char_indices().rev().nth(count).map_or(0, |(at, _)| at);
    let tail = left.split_off(cut);
    right.insert_str(0, &tail);
    all
}

proptest! {
    #[test]
    fn different_tuples_have_different_names(a in parts(), b in parts()) {
        prop_assert_eq!(a == b, key(&a) == key(&b));
        prop_assert_eq!(a == b, key(&a).canonical() == key(&b).canonical());
        prop_assert_eq!(a == b, key(&a).digest() == key(&b).digest());
    }

    #[test]
    fn moving_text_between_parts_changes_the_name(a in parts(), from in 0_usize..3, count in 0_usize..5) {
        let b = shifted(&a, from, count);
        prop_assert_eq!(a == b, key(&a).canonical() == key(&b).canonical());
        prop_assert_eq!(a == b, key(&a).digest() == key(&b).digest());
    }

    #[test]
    fn the_canonical_form_can_be_taken_apart(parts in parts()) {
        let (issuer, namespace, protocol, name, version) = parts.clone();
        let mut expected = vec![StoreKey::FORMAT.to_owned(), issuer, namespace, protocol.as_str().to_owned(), name];
        expected.extend(version);
        prop_assert_eq!(decode(&key(&parts).canonical()), Some(expected));
    }

    #[test]
    fn the_digest_is_that_of_the_canonical_form(parts in parts()) {
        let key = key(&parts);
        prop_assert_eq!(*key.digest().as_bytes(), *blake3::hash(&key.canonical()).as_bytes());
    }
}
