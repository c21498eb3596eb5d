//! What is asked for: seeds, modes, time.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::crowd::Crowd;

/// Which servers run, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tiers {
    Disk,
    Through,
    Back,
    /// A bucket behind a staging directory.
    Bucket,
}

/// A mode by its name: `disk`, `through`, `back`, `bucket`, with `2` behind it for two servers, and with `+ten` (or another
/// crowd) for tenants that flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) tiers: Tiers,
    pub(crate) servers: usize,
    /// Who floods, if anybody.
    pub(crate) crowd: Option<Crowd>,
}

/// All modes of a long run, in turn.
pub(crate) const MODES: [&str; 14] = [
    "disk",
    "through",
    "back",
    "through2",
    "back2",
    "bucket",
    "bucket2",
    "disk+one",
    "disk+ten",
    "disk+group",
    "disk+groups",
    "through+ten",
    "back2+groups",
    "bucket2+group",
];

impl Mode {
    pub(crate) fn has_bucket(self) -> bool {
        self.tiers != Tiers::Disk
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, crowd) = match text.split_once('+') {
            Some((name, crowd)) => (name, Some(crowd.parse()?)),
            None => (text, None),
        };
        let (name, servers) = match name.strip_suffix('2') {
            Some(name) => (name, 2),
            None => (name, 1),
        };
        let tiers = match name {
            "disk" if servers == 1 => Tiers::Disk,
            "through" => Tiers::Through,
            "back" => Tiers::Back,
            "bucket" => Tiers::Bucket,
            _ => return Err(format!("{text:?} is no mode; there are: {}", MODES.join(" "))),
        };
        Ok(Self {
            tiers,
            servers,
            crowd,
        })
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.tiers {
            Tiers::Disk => "disk",
            Tiers::Through => "through",
            Tiers::Back => "back",
            Tiers::Bucket => "bucket",
        };
        f.write_str(name)?;
        if self.servers == 2 {
            f.write_str("2")?;
        }
        self.crowd.map_or(Ok(()), |crowd| write!(f, "+{crowd}"))
    }
}

/// Everything that can be asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Rounds to run: one after the other, or until the time is over.
    pub(crate) rounds: Rounds,
    /// How long clients work in one round.
    pub(crate) work: Duration,
    /// The binary under test.
    pub(crate) binary: PathBuf,
    /// Where failed rounds leave what they saw.
    pub(crate) reports: PathBuf,
    /// Whether to wait after a flood until everything has timed out.
    pub(crate) has_time: bool,
    /// Faults that are left out, by the names of `faults.rs`.
    pub(crate) without: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Rounds {
    These(Vec<(u64, Mode)>),
    Until {
        time: Duration,
        first_seed: u64,
        modes: Vec<Mode>,
    },
}

/// A short run: every mode that a bug has hidden in, with seeds that are always the same, and a random one.
const FIXED: [(u64, &str); 5] = [
    (1, "disk"),
    (2, "through"),
    (3, "back"),
    (4, "back2"),
    (5, "disk+groups"),
];

impl Plan {
    /// From the environment: `TORTURE_SECONDS`, `TORTURE_SEED`, `TORTURE_MODE`, `TORTURE_WORK` (seconds of a round),
    /// `TORTURE_BIN`, `TORTURE_WITHOUT`. Without seconds a seed means one round; without both it is the short run.
    pub(crate) fn from_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| -> Result<Option<u64>, String> {
            let text = get(name);
            text.map(|text| text.parse().map_err(|_| format!("{name}: {text:?} is no number")))
                .transpose()
        };
        let list = |name: &str| -> Vec<String> {
            let text = get(name).unwrap_or_default();
            text.split([',', ' '])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let modes: Vec<Mode> = list("TORTURE_MODE")
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let rounds = match (number("TORTURE_SECONDS")?, number("TORTURE_SEED")?) {
            (Some(seconds), seed) => Rounds::Until {
                time: Duration::from_secs(seconds),
                first_seed: seed.unwrap_or_else(random),
                modes: if modes.is_empty() { all() } else { modes },
            },
            (None, Some(seed)) => Rounds::These(vec![(seed, *modes.first().unwrap_or(&all()[0]))]),
            (None, None) => Rounds::These(short(&modes)),
        };
        Ok(Self {
            work: Duration::from_secs(number("TORTURE_WORK")?.unwrap_or(8)),
            binary: get("TORTURE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_chacha").into(), PathBuf::from),
            reports: get("TORTURE_REPORTS").map_or_else(|| root.join("target/torture"), PathBuf::from),
            has_time: matches!(rounds, Rounds::Until { .. }),
            rounds,
            without: list("TORTURE_WITHOUT"),
        })
    }
}

fn all() -> Vec<Mode> {
    MODES.iter().map(|text| text.parse().unwrap()).collect()
}

fn random() -> u64 {
    // Short, because people type it.
    u64::from(std::process::id()) * 1000 + u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_millis())
}

fn short(modes: &[Mode]) -> Vec<(u64, Mode)> {
    let fixed = FIXED.iter().map(|(seed, mode)| (*seed, mode.parse().unwrap()));
    let mut rounds: Vec<(u64, Mode)> = fixed
        .filter(|(_, mode)| modes.is_empty() || modes.contains(mode))
        .collect();
    let seed = random();
    let any = if modes.is_empty() { all() } else { modes.to_vec() };
    rounds.push((seed, any[seed as usize % any.len()]));
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names_both_ways() {
        for name in MODES {
            assert_eq!(name.parse::<Mode>().unwrap().to_string(), name);
        }
        for wrong in ["disk2", "", "disk+", "disk+two", "+ten"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_is_one_round_and_nothing_is_the_short_run() {
        let plan = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> =
                pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            Plan::from_environment(move |name| Some(pairs.iter().find(|(known, _)| known == name)?.1.clone()))
        };
        let Rounds::These(rounds) = plan(&[("TORTURE_SEED", "7"), ("TORTURE_MODE", "back")])
            .unwrap()
            .rounds
        else {
            panic!("a list of rounds");
        };
        assert_eq!(rounds, [(7, "back".parse().unwrap())]);
        let Rounds::These(rounds) = plan(&[]).unwrap().rounds else {
            panic!("a list of rounds")
        };
        assert_eq!(rounds.len(), FIXED.len() + 1);
        assert!(plan(&[("TORTURE_SEED", "x")]).is_err());
    }
}
