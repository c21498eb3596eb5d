//! Imports point downwards only (the table of `src/lib.rs`).

use std::path::{Path, PathBuf};

/// Top first. A module may use any lower line, never its own line's neighbours or a higher line.
const LAYERS: [&[&str]; 12] = [
    &["cli", "fuzzing"],
    &["server"],
    &[
        "protocol::http",
        "protocol::blob",
        "protocol::gha_v1",
        "protocol::gha_v2",
        "protocol::nx",
        "protocol::peer",
        "protocol::turbo",
        "protocol::reserved",
    ],
    &["protocol::entry"],
    &["protocol"],
    &["cache"],
    &["store::tiered"],
    &["store::disk", "store::s3", "store::remote_only", "auth"],
    &["store::follow"],
    &["store"],
    &["config", "telemetry"],
    &["sys", "tasks", "range", "error", "outbound"],
];

/// `protocol/mod.rs` holds the list of front-ends, so it alone looks upwards, to name them.
const LIST: &str = "protocol/mod.rs";

fn layer(module: &str) -> Option<(usize, &'static str)> {
    let fits = |name: &&str| module == *name || module.starts_with(&format!("{name}::"));
    let found = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, names)| names.iter().map(move |name| (depth, *name)));
    found
        .filter(|(_, name)| fits(name))
        .max_by_key(|(_, name)| name.len())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every `crate::a::b` in the code of a file; comments may name anything.
fn imports(text: &str) -> impl Iterator<Item = String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let parts: Vec<String> = code.split("crate::").skip(1).map(str::to_owned).collect();
    parts.into_iter().flat_map(|rest| {
        let path: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
            .collect();
        let group = rest[path.len()..]
            .strip_prefix('{')
            .and_then(|list| list.split('}').next())
            .unwrap_or("");
        if group.is_empty() {
            return vec![path];
        }
        group
            .split(',')
            .map(|name| format!("{path}{}", name.trim()))
            .collect()
    })
}

#[test]
fn imports_point_downwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let module = name
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .replace('/', "::");
        let Some((depth, own)) = layer(&module) else {
            assert!(matches!(name, "lib.rs" | "main.rs"), "{name} stands in no layer");
            continue;
        };
        let text = std::fs::read_to_string(file).unwrap();
        for import in imports(&text) {
            let Some((target, other)) = layer(&import) else {
                continue;
            };
            let upwards = target < depth || (target == depth && other != own);
            if upwards && name != LIST {
                wrong.push(format!("{name} uses crate::{import}"));
            }
        }
    }
    assert!(files.len() > 50 && wrong.is_empty(), "{wrong:#?}");
}
