//! Patterns for the names of tenants: `*` stands for any characters, everything else for itself.

/// Whether `name` matches `pattern`. Takes at most the product of both lengths, whatever they hold.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Behind the last `*`, and how much of the name it stands for.
    let mut star = None;
    while seen < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, seen));
        } else if pattern.get(at) == Some(&name[seen]) {
            (at, seen) = (at + 1, seen + 1);
        } else if let Some((behind, until)) = star {
            (at, seen) = (behind, until + 1);
            star = Some((behind, until + 1));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        let check =
            |pattern, name, expected| assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("https://a.test#*", "https://a.test#b/c", true);
        check("https://a.test#*", "https://a.test.evil#b", false);
        check("https://a.test#b/*", "https://a.test#b", false);
        check("*#42", "https://a.test#42", true);
        check("*#42", "https://a.test#142", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("a?c", "abc", false);
        check("a**", "a", true);
    }

    /// The meaning, written down without any thought of the cost.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            (Some((sign, pattern)), Some((first, name))) => sign == first && naive(pattern, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_means_what_is_meant(pattern in "[ab*]{0,7}", name in "[ab]{0,9}") {
            prop_assert_eq!(matches(&pattern, &name), naive(pattern.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_its_length_times_that_of_the_name() {
        let pattern = "*a".repeat(1000);
        assert!(!matches(&pattern, &"a".repeat(999)));
        assert!(!matches(&(pattern + "b"), &"a".repeat(4000)));
    }
}
