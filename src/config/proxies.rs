//! `trusted_proxies`: the networks whose word on the address of a client counts.

use std::net::IpAddr;

use ipnet::IpNet;

use super::field::Field;
use super::section::Section;

/// How sockets of the file system are written in the list.
const UNIX: &str = "unix";

/// Whose word on the address of a client counts. Default: nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// These networks.
    pub fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            networks: networks.into_iter().collect(),
            unix: false,
        }
    }

    /// Whether `peer` is one of them; `None` is the peer of a socket of the file system.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

pub(super) fn trusted_proxies(root: &Section<'_>) -> TrustedProxies {
    let mut trusted = TrustedProxies::default();
    let Some(field) = root.field("trusted_proxies") else {
        return trusted;
    };
    for entry in field.entries("10.0.0.0/8").unwrap_or_default() {
        if entry.value.as_str() == Some(UNIX) {
            trusted.unix = true;
        } else if let Some(network) = entry.read(network) {
            if network.prefix_len() == 0 {
                entry.warn("holds every address, so any client can say which one it has; name the networks of your proxies");
            }
            trusted.networks.push(network);
        }
    }
    trusted
}

fn network(field: &Field<'_>) -> Result<IpNet, String> {
    let text = field.text()?.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| {
        "is not a network; write 10.0.0.0/8, \"2001:db8::/32\", one address, or unix for sockets of the file system"
            .to_owned()
    })?;
    match network.trunc() == network {
        true => Ok(network),
        false => Err(format!("has bits behind its prefix; write {}", network.trunc())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_whatever_form_it_comes() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let trusted = TrustedProxies::of(networks);
        let check = |address: &str, expected| {
            assert_eq!(
                trusted.contains(Some(address.parse().unwrap())),
                expected,
                "{address}"
            );
        };
        check("10.1.2.3", true);
        check("::ffff:10.1.2.3", true);
        check("11.1.2.3", false);
        check("2001:db8::1", true);
        check("2001:db9::1", false);
        assert!(!trusted.contains(None));
        assert!(!TrustedProxies::default().contains(Some(IpAddr::from([127, 0, 0, 1]))));
    }
}
