//! Tickets come back as they were sealed, or not at all.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(&key(1))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// As it comes back in a URL.
fn again(ticket: &Ticket) -> Ticket {
    let expires = ticket.expires().to_string();
    Ticket::from_parts(ticket.body(), &expires, ticket.signature()).unwrap()
}

/// The parts of `ticket` as bytes, put together anew.
fn rebuilt(ticket: &Ticket, change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> Option<Ticket> {
    let mut body = decode(ticket.body()).unwrap();
    let mut signature = decode(ticket.signature()).unwrap();
    change(&mut body, &mut signature);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let expires = ticket.expires().to_string();
    Ticket::from_parts(&encode(&body), &expires, &encode(&signature))
}

#[track_caller]
fn forged(ticket: &Ticket) {
    for now in [at(0), at(u64::from(u32::MAX))] {
        assert_eq!(sealer().open(ticket, now), Err(TicketError::Forged));
    }
}

#[test]
fn a_ticket_is_good_before_its_second() {
    let sealer = sealer();
    let ticket = again(&sealer.seal(b"payload", at(1000) + Duration::from_millis(900)));
    assert_eq!(ticket.expires(), 1000);
    assert_eq!(sealer.clone().open(&ticket, at(0)), Ok(b"payload".to_vec()));
    let last = at(999) + Duration::from_millis(999);
    assert_eq!(sealer.open(&ticket, last), Ok(b"payload".to_vec()));
    assert_eq!(sealer.open(&ticket, at(1000)), Err(TicketError::Expired));
    let before_time = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(
        sealer.open(&sealer.seal(b"", before_time), at(0)),
        Err(TicketError::Expired)
    );
}

#[test]
fn forged_beats_expired() {
    let ticket = sealer().seal(b"payload", at(1000));
    let later = Ticket {
        expires: 2000,
        ..ticket.clone()
    };
    forged(&later);
    let sooner = Ticket { expires: 1, ..ticket };
    forged(&sooner);
}

#[test]
fn another_key_opens_nothing() {
    let ticket = Sealer::new(&key(2)).seal(b"payload", at(1000));
    forged(&ticket);
}

#[test]
fn parts_of_two_tickets_do_not_fit_together() {
    let (one, other) = (sealer().seal(b"one", at(1000)), sealer().seal(b"one", at(1000)));
    assert_ne!(one.body(), other.body(), "nonces are random");
    forged(&Ticket {
        signature: other.signature.clone(),
        ..one.clone()
    });
    forged(&Ticket {
        body: other.body,
        ..one
    });
}

#[test]
fn nothing_of_the_payload_shows() {
    let secret = b"acme/app refs/heads/main";
    let ticket = sealer().seal(secret, at(1000));
    let body = decode(ticket.body()).unwrap();
    assert!(
        !body
            .windows(4)
            .any(|part| secret.windows(4).any(|text| text == part))
    );
    assert_eq!(format!("{ticket:?} {:?}", sealer()), "Ticket(..) Sealer(..)");
}

/// Links survive an upgrade: this ticket was sealed by the first version.
#[test]
fn the_form_stays() {
    let ticket = Ticket::from_parts(BODY, "4102444800", SIGNATURE).unwrap();
    assert_eq!(sealer().open(&ticket, at(0)), Ok(b"chacha".to_vec()));
}

const BODY: &str = "LZH8iIruwokBYr2ifnA62qoE";
const SIGNATURE: &str = "A5wPgFNoVZZaHBd-eGjlcg";

#[test]
fn other_spellings_are_no_tickets() {
    let ticket = sealer().seal(b"payload", at(1000));
    let (body, signature) = (ticket.body(), ticket.signature());
    assert!(Ticket::from_parts(body, "1000", signature).is_some());
    for expires in ["", "+1000", "01000", " 1000", "1e3", "-1", "18446744073709551616"] {
        assert_eq!(Ticket::from_parts(body, expires, signature), None, "{expires}");
    }
    for signature in [
        "",
        "AAAA",
        &format!("{signature}AA"),
        &signature[1..],
        &format!("{signature}=="),
    ] {
        assert_eq!(Ticket::from_parts(body, "1000", signature), None, "{signature}");
    }
    let long = "A".repeat(Ticket::MAX_BODY + 4);
    for body in [
        "",
        "AAAA",
        &format!("{body}="),
        &format!("{body} "),
        "äöüäöüäöüäöüäöü",
        &long,
    ] {
        assert_eq!(Ticket::from_parts(body, "1000", signature), None, "{body}");
    }
    let fits = sealer().seal(&[7; 12_000], at(1000));
    assert_eq!(sealer().open(&again(&fits), at(0)), Ok(vec![7; 12_000]));
}

proptest! {
    #[test]
    fn whatever_is_sealed_comes_back(payload in prop::collection::vec(any::<u8>(), 0..200), expires in 1..1_u64 << 40) {
        let ticket = again(&sealer().seal(&payload, at(expires)));
        prop_assert_eq!(ticket.expires(), expires);
        prop_assert_eq!(sealer().open(&ticket, at(expires - 1)), Ok(payload));
        prop_assert_eq!(sealer().open(&ticket, at(expires)), Err(TicketError::Expired));
    }

    #[test]
    fn any_flipped_bit_is_forged(payload in prop::collection::vec(any::<u8>(), 0..60), nth in any::<usize>()) {
        let ticket = sealer().seal(&payload, at(1000));
        let flipped = rebuilt(&ticket, |body, signature| {
            let nth = nth % (8 * (body.len() + signature.len()));
            let byte = body.iter_mut().chain(signature).nth(nth / 8).unwrap();
            *byte ^= 1 << (nth % 8);
        });
        forged(&flipped.unwrap());
    }

    #[test]
    fn any_other_time_is_forged(expires in 0..1_u64 << 40, bit in 0..64) {
        let ticket = sealer().seal(b"payload", at(expires));
        forged(&Ticket { expires: expires ^ (1_u64 << bit), ..ticket });
    }

    #[test]
    fn any_changed_length_is_forged(payload in prop::collection::vec(any::<u8>(), 0..60), length in 0..100_usize) {
        let ticket = sealer().seal(&payload, at(1000));
        let changed = rebuilt(&ticket, |body, _| {
            let length = if length == body.len() { length + 1 } else { length };
            body.resize(length, 0);
        });
        if let Some(changed) = changed {
            forged(&changed);
        }
    }

    #[test]
    fn any_changed_character_is_refused(nth in any::<usize>(), to in "[ -~]") {
        let ticket = sealer().seal(b"payload", at(1000));
        let mut parts = [ticket.body().to_owned(), ticket.signature().to_owned()];
        let nth = nth % (parts[0].len() + parts[1].len());
        let (part, at_) = if nth < parts[0].len() { (0, nth) } else { (1, nth - parts[0].len()) };
        parts[part].replace_range(at_..=at_, &to);
        let changed = Ticket::from_parts(&parts[0], "1000", &parts[1]);
        if let Some(changed) = changed.filter(|changed| *changed != ticket) {
            forged(&changed);
        }
    }

    #[test]
    fn no_text_panics(body in "\\PC{0,60}", expires in "\\PC{0,24}", signature in "[A-Za-z0-9_=-]{20,24}") {
        if let Some(ticket) = Ticket::from_parts(&body, &expires, &signature) {
            forged(&ticket);
        }
    }
}
