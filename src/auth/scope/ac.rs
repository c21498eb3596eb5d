//! The scopes of GitHub's runtime token: the claim `ac`, a JSON text inside of the token.
//!
//! `[{"Scope":"refs/heads/main","Permission":3}]`; bit 1 of the permission is to read, bit 2 to write. Whatever
//! is odd about it refuses the token: half of a list of rights could be the wrong half.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::super::expr::push_part;
use super::super::identity::{Namespace, Scope};
use super::super::unique_map::UniqueMap;

/// The claim that holds the scopes.
pub(super) const AC_CLAIM: &str = "ac";

/// The claim that names the repository of the scopes: branches of two repositories have equal names.
const REPOSITORY_CLAIM: &str = "repository_id";

/// The claims that are looked at here.
pub(super) const NAMES: &[&str] = &[AC_CLAIM, REPOSITORY_CLAIM];

/// Most scopes of a token. Each is one more look-up for a miss; GitHub gives two or three.
const MAX_SCOPES: usize = 64;

const READ_PERMISSION: u64 = 1;
const WRITE_PERMISSION: u64 = 2;

/// Why the scopes of a token cannot be used. Shows names of claims, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcError {
    /// There is none, and no expression that could stand in for it.
    #[error("the claim `ac` is missing")]
    Missing,
    /// Not a text that holds a JSON list of objects with a text `Scope` and a whole number `Permission`.
    #[error("the claim `ac` is not a list of scopes with permissions")]
    Malformed,
    /// The list has no entry.
    #[error("the claim `ac` names no scope")]
    NoScope,
    /// The list has more than 64 entries.
    #[error("the claim `ac` names more than {MAX_SCOPES} scopes")]
    TooMany,
    /// The name of a scope is the empty text.
    #[error("the claim `ac` names an empty scope")]
    Empty,
    /// Together with the repository it is no namespace: see [`Namespace::MAX_BYTES`].
    #[error("the claim `ac` names a scope that is too long")]
    TooLong,
    /// `repository_id` is missing.
    #[error("the claim `{REPOSITORY_CLAIM}` is missing")]
    NoRepository,
    /// `repository_id` is empty, or neither text nor a whole number from 0 up.
    #[error("the claim `{REPOSITORY_CLAIM}` is not an id")]
    Repository,
}

/// The rights of a token by its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcScope {
    pub(super) scope: Scope,
    /// Whether the writable namespace may be written.
    pub(super) may_write: bool,
    /// The scope of the writable namespace.
    pub(super) reference: String,
}

/// The rights of a token whose claim `ac` has this value.
pub(super) fn scope(issuer: &Arc<str>, claims: &Map<String, Json>, ac: &Json) -> Result<AcScope, AcError> {
    let repository = repository(claims)?;
    let rights = rights(ac)?;
    let mut namespaces = Vec::with_capacity(rights.len());
    for (name, permission) in &rights {
        let mut path = String::new();
        push_part(&mut path, &repository);
        push_part(&mut path, name);
        let namespace = Namespace::new(Arc::clone(issuer), &path).ok_or(AcError::TooLong)?;
        namespaces.push((namespace, *permission, name));
    }
    // Stable: equals keep the order of the token.
    namespaces.sort_by_key(|(_, permission, _)| permission & WRITE_PERMISSION == 0);
    let first = namespaces.first();
    let may_write = first.is_some_and(|(_, rights, _)| rights & WRITE_PERMISSION != 0);
    let readable = |(_, permission, _): &&(Namespace, u64, &String)| permission & READ_PERMISSION != 0;
    // A caller that may not write is named after what it reads.
    let first = match may_write {
        true => first,
        false => namespaces.iter().find(readable).or(first),
    };
    let first = first.ok_or(AcError::NoScope)?;
    let others = namespaces.iter().filter(readable);
    let others = others.map(|(namespace, ..)| namespace.clone());
    Ok(AcScope {
        scope: Scope::with_first(first.0.clone(), readable(&first), others),
        may_write,
        reference: first.2.clone(),
    })
}

/// The name of the scope whose namespace this is.
pub(super) fn scope_name(claims: &Map<String, Json>, namespace: &Namespace) -> Option<String> {
    let repository = repository(claims).ok()?;
    let rights = rights(claims.get(AC_CLAIM)?).ok()?;
    let mut names = rights.into_iter().map(|(name, _)| name);
    names.find(|name| {
        let mut path = String::new();
        push_part(&mut path, &repository);
        push_part(&mut path, name);
        path == **namespace.path()
    })
}

fn repository(claims: &Map<String, Json>) -> Result<String, AcError> {
    match claims.get(REPOSITORY_CLAIM) {
        None => Err(AcError::NoRepository),
        Some(Json::String(id)) if !id.is_empty() => Ok(id.clone()),
        Some(Json::Number(id)) => id.as_u64().map(|id| id.to_string()).ok_or(AcError::Repository),
        Some(_) => Err(AcError::Repository),
    }
}

/// The names of the scopes in their order, each once, with all of its permissions.
fn rights(ac: &Json) -> Result<Vec<(String, u64)>, AcError> {
    let text = ac.as_str().ok_or(AcError::Malformed)?;
    let entries: Vec<UniqueMap> = serde_json::from_str(text).map_err(|_| AcError::Malformed)?;
    if entries.len() > MAX_SCOPES {
        return Err(AcError::TooMany);
    }
    let mut rights: Vec<(String, u64)> = Vec::with_capacity(entries.len());
    for UniqueMap(mut entry) in entries {
        let Some(Json::String(name)) = entry.remove("Scope") else {
            return Err(AcError::Malformed);
        };
        let permission = entry.get("Permission").and_then(Json::as_u64);
        let permission = permission.ok_or(AcError::Malformed)?;
        if name.is_empty() {
            return Err(AcError::Empty);
        }
        match rights.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known |= permission,
            None => rights.push((name, permission)),
        }
    }
    match rights.is_empty() {
        true => Err(AcError::NoScope),
        false => Ok(rights),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(claims: Json) -> Result<AcScope, AcError> {
        let claims = claims.as_object().unwrap();
        scope(&"https://issuer.test".into(), claims, &claims["ac"])
    }

    fn of(ac: &str) -> Result<AcScope, AcError> {
        read(json!({ "repository_id": "42", "ac": ac }))
    }

    fn list(entries: &[(&str, u64)]) -> String {
        let entries = entries.iter();
        let entries: Vec<Json> = entries
            .map(|(scope, permission)| json!({ "Scope": scope, "Permission": permission }))
            .collect();
        Json::from(entries).to_string()
    }

    #[track_caller]
    fn check(entries: &[(&str, u64)], writable: &str, may_write: bool, readable: &[&str]) {
        let AcScope {
            scope,
            may_write: found,
            reference,
        } = of(&list(entries)).unwrap();
        assert_eq!(found, may_write, "{entries:?}");
        let mut path = "42".to_owned();
        push_part(&mut path, &reference);
        assert_eq!(path, writable, "{entries:?}");
        assert_eq!(&**scope.writable().path(), writable, "{entries:?}");
        let paths: Vec<&str> = scope.readable().map(|found| &**found.path()).collect();
        assert_eq!(paths, readable, "{entries:?}");
    }

    #[test]
    fn writable_scopes_come_first_and_the_first_of_them_is_written() {
        check(&[("a", 3)], "42/a", true, &["42/a"]);
        check(&[("a", 1), ("b", 3)], "42/b", true, &["42/b", "42/a"]);
        let four = [("a", 1), ("b", 3), ("c", 1), ("d", 3)];
        check(&four, "42/b", true, &["42/b", "42/d", "42/a", "42/c"]);
    }

    #[test]
    fn both_bits_count_alone() {
        check(&[("a", 1), ("b", 1)], "42/a", false, &["42/a", "42/b"]);
        check(&[("a", 1), ("b", 2)], "42/b", true, &["42/a"]);
        check(&[("a", 2), ("b", 3)], "42/a", true, &["42/b"]);
        check(&[("a", 2)], "42/a", true, &[]);
        check(&[("a", 0), ("b", 1)], "42/b", false, &["42/b"]);
        check(&[("a", 0)], "42/a", false, &[]);
    }

    #[test]
    fn unknown_bits_give_nothing_and_repeated_scopes_merge() {
        check(&[("a", 4)], "42/a", false, &[]);
        check(&[("a", u64::MAX)], "42/a", true, &["42/a"]);
        check(&[("a", 1), ("b", 1), ("a", 2)], "42/a", true, &["42/a", "42/b"]);
    }

    #[test]
    fn names_are_escaped_as_join_does() {
        check(
            &[("refs/heads/50%", 1)],
            "42/refs%2Fheads%2F50%25",
            false,
            &["42/refs%2Fheads%2F50%25"],
        );
        let expression = super::super::Expression::compile("join(claims.repository_id, claims.ref)").unwrap();
        let claims = json!({ "repository_id": "4/2", "ref": "refs/%2F", "ac": list(&[("refs/%2F", 1)]) });
        let joined = expression.text(claims.as_object().unwrap()).unwrap();
        assert_eq!(&**read(claims).unwrap().scope.writable().path(), joined);
    }

    #[test]
    fn whatever_is_malformed_is_refused() {
        for ac in [
            json!(null),
            json!(3),
            json!([{"Scope": "a", "Permission": 3}]),
            json!(""),
            json!("{}"),
            json!(r#""a""#),
            json!(r#"[["a", 3]]"#),
            json!(r#"[{"scope":"a","permission":3}]"#),
            json!(r#"[{"Scope":"a"}]"#),
            json!(r#"[{"Permission":3}]"#),
            json!(r#"[{"Scope":"a","Permission":"3"}]"#),
            json!(r#"[{"Scope":"a","Permission":3.0}]"#),
            json!(r#"[{"Scope":"a","Permission":-1}]"#),
            json!(r#"[{"Scope":"a","Permission":18446744073709551616}]"#),
            json!(r#"[{"Scope":"a","Permission":null}]"#),
            json!(r#"[{"Scope":7,"Permission":3}]"#),
            json!(r#"[{"Scope":"a","Scope":"b","Permission":3}]"#),
            json!(r#"[{"Scope":"a","Permission":3},"b"]"#),
            json!(r#"[{"Scope":"a","Permission":3}"#),
            json!(r#"[{"Scope":"a","Permission":3}] x"#),
        ] {
            let outcome = read(json!({ "repository_id": "42", "ac": ac }));
            assert_eq!(outcome, Err(AcError::Malformed), "{ac}");
        }
        assert_eq!(of("[]"), Err(AcError::NoScope));
        assert_eq!(of(&list(&[("a", 3), ("", 1)])), Err(AcError::Empty));
    }

    #[test]
    fn lists_and_names_are_bounded() {
        let most = list(&vec![("a", 3); MAX_SCOPES]);
        assert!(of(&most).is_ok());
        assert_eq!(of(&list(&vec![("a", 3); MAX_SCOPES + 1])), Err(AcError::TooMany));
        let longest = "x".repeat(Namespace::MAX_BYTES - 3);
        assert!(of(&list(&[(&longest, 3)])).is_ok());
        assert_eq!(
            of(&list(&[("a", 3), (&(longest + "x"), 1)])),
            Err(AcError::TooLong)
        );
    }

    #[test]
    fn the_repository_is_text_or_a_whole_number() {
        let of = |id: Json| read(json!({ "repository_id": id, "ac": list(&[("a", 3)]) }));
        assert_eq!(of(json!(42)), of(json!("42")));
        for id in [
            json!(""),
            json!(-1),
            json!(4.2),
            json!(null),
            json!(["42"]),
            json!(true),
        ] {
            assert_eq!(of(id.clone()), Err(AcError::Repository), "{id}");
        }
        let absent = read(json!({ "ac": list(&[("a", 3)]) })).unwrap_err();
        assert_eq!(absent.to_string(), "the claim `repository_id` is missing");
    }

    proptest! {
        #[test]
        fn no_text_panics_or_shows_itself(ac in "\\PC{0,80}", id in "\\PC{0,9}") {
            if let Err(error) = read(json!({ "repository_id": id, "ac": ac })) {
                prop_assert!(error.to_string().starts_with("the claim `"));
            }
        }

        #[test]
        fn different_scopes_are_different_namespaces(
            a in ("[%/25Fab]{1,3}", "[%/25Fab]{1,3}"), b in ("[%/25Fab]{1,3}", "[%/25Fab]{1,3}"),
        ) {
            let of = |(id, name): &(String, String)| read(json!({ "repository_id": id, "ac": list(&[(name, 3)]) })).unwrap();
            prop_assert_eq!(a == b, of(&a) == of(&b));
        }

        #[test]
        fn rights_are_exactly_those_of_the_token(entries in prop::collection::vec(("[a-d]", 0_u64..8), 1..9)) {
            let borrowed: Vec<(&str, u64)> = entries.iter().map(|(name, bits)| (name.as_str(), *bits)).collect();
            let AcScope { scope, may_write, .. } = of(&list(&borrowed)).unwrap();
            let bits = |path: &str| borrowed.iter().filter(|(name, _)| path == format!("42/{name}")).fold(0, |all, (_, bits)| all | bits);
            prop_assert!(scope.readable().all(|namespace| bits(namespace.path()) & READ_PERMISSION != 0));
            let distinct: std::collections::HashSet<&str> = borrowed.iter().map(|(name, _)| *name).collect();
            let all_readable = distinct.iter().filter(|name| bits(&format!("42/{name}")) & READ_PERMISSION != 0).count();
            prop_assert_eq!(scope.readable().len(), all_readable);
            prop_assert_eq!(may_write, borrowed.iter().any(|(_, bits)| bits & WRITE_PERMISSION != 0));
            prop_assert!(!may_write || bits(scope.writable().path()) & WRITE_PERMISSION != 0);
        }
    }
}
