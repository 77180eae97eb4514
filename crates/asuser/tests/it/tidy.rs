//! What ARCHITECTURE.md says of the crates, and the house rules that no lint knows: read from manifests and sources.
//!
//! Each check is a function from a workspace to complaints. The real one gives none; a sample that breaks the rule gives one, so
//! that no check is blind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Which crates of the workspace a crate may depend on, tests aside. A new crate takes its place here and in ARCHITECTURE.md.
const ORDER: &[(&str, &[&str])] = &[
    ("asuser-core", &[]),
    ("asuser-fetch", &["core"]),
    ("asuser-identity", &["core", "fetch"]),
    ("asuser-delegation", &["core", "identity"]),
    ("asuser-policy", &["core", "identity", "delegation"]),
    ("asuser-sql", &["core"]),
    ("asuser-query", &["core", "policy", "sql"]),
    ("asuser-audit-log", &["core"]),
    ("asuser-store", &["core", "audit-log"]),
    ("asuser-audit", &["core", "identity", "delegation", "query", "audit-log"]),
    ("asuser-connector", &["core", "identity", "query", "audit"]),
    ("asuser-connector-sqlite", &["core", "identity", "query", "audit", "connector"]),
    ("asuser-postgres", &["core"]),
    ("asuser-credential", &["core"]),
    ("asuser-connector-postgres", &["core", "identity", "query", "audit", "connector", "postgres", "credential"]),
    ("asuser-ops", &["core", "postgres", "credential"]),
    ("asuser-gateway", &["core", "identity", "delegation", "policy", "query", "audit", "connector"]),
    ("asuser-server", &["core", "identity", "delegation", "query", "audit", "gateway"]),
    (
        "asuser",
        &[
            "core",
            "fetch",
            "identity",
            "delegation",
            "policy",
            "query",
            "audit-log",
            "store",
            "audit",
            "connector",
            "connector-sqlite",
            "connector-postgres",
            "postgres",
            "credential",
            "ops",
            "gateway",
            "server",
        ],
    ),
    ("asuser-testkit", &["core", "identity"]),
    (
        "asuser-conformance",
        &["core", "identity", "delegation", "policy", "query", "audit-log", "store", "audit", "connector", "testkit"],
    ),
    ("asuser-bench", &["core", "identity", "credential", "testkit"]),
];

/// Who may depend on what is heavy or has a say: everyone else must do without.
const HEAVY: &[(&str, &[&str])] = &[
    ("cedar-policy", &["asuser-policy"]),
    ("rusqlite", &["asuser-connector-sqlite", "asuser-store", "asuser", "asuser-bench"]),
    ("hyper", &["asuser-fetch", "asuser-server", "asuser"]),
    ("sqlparser", &["asuser-sql"]),
    ("aws-lc-rs", &["asuser-identity", "asuser-testkit", "asuser"]),
    ("ed25519-dalek", &["asuser-audit-log"]),
];

/// Code that waits by the clock, and why it may.
const SLEEPERS: &[&str] = &[
    // After a failed accept (no file descriptors): at once again would spin.
    "crates/server/src/listener.rs",
    // The log's writer: a sync's time, so that one sync serves all that are under way.
    "crates/audit-log/src/writer.rs",
    // SQLite's busy handler: between two tries to get past a writer's lock.
    "crates/connector-sqlite/src/connect.rs",
    // The benchmark's main thread, while the others are measured, and until a gateway that it started answers.
    "benches/src/gateway.rs",
    // The tests' PostgreSQL: between two looks whether it is ready; it tells nobody.
    "testkit/src/postgres/watchdog.rs",
];

const LINES_MAX: usize = 700;

struct Manifest {
    path: PathBuf,
    table: Table,
}

struct Source {
    path: PathBuf,
    text: String,
}

#[derive(Default)]
struct Workspace {
    root: Table,
    crates: BTreeMap<String, Manifest>,
    sources: Vec<Source>,
}

type Check = fn(&Workspace) -> Vec<String>;

const CHECKS: &[(&str, Check)] = &[
    ("the order of the crates", order_of_crates),
    ("heavy dependencies hang on few crates", heavy_dependencies),
    ("versions stand in the workspace's table", versions_in_one_place),
    ("each crate has the lints and a description", manifests_are_whole),
    ("no feature for tests, nothing hidden but public", nothing_for_tests_alone),
    ("no ignored test", no_ignored_test),
    ("nobody sleeps", nobody_sleeps),
    ("files can be read", files_are_short),
    ("an answer is opened by the listener alone", answers_are_opened_once),
];

// ---- the checks

fn order_of_crates(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (name, manifest) in &workspace.crates {
        let Some((_, allowed)) = ORDER.iter().find(|(known, _)| known == name) else {
            found.push(format!("{name} has no place in the order of the crates"));
            continue;
        };
        for dependency in dependencies(&manifest.table, &["dependencies", "build-dependencies"]) {
            if !is_ours(workspace, &dependency) {
                continue;
            }
            let short = dependency.strip_prefix("asuser-").unwrap_or(&dependency);
            if !allowed.contains(&short) {
                found.push(format!("{name} may not depend on {dependency}"));
            }
        }
    }
    found
}

fn heavy_dependencies(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (name, manifest) in &workspace.crates {
        for dependency in dependencies(&manifest.table, &["dependencies", "build-dependencies"]) {
            let known = HEAVY.iter().find(|(heavy, _)| *heavy == dependency);
            if known.is_some_and(|(_, allowed)| !allowed.contains(&name.as_str())) {
                found.push(format!("{name} may not depend on {dependency}"));
            }
        }
    }
    found
}

fn versions_in_one_place(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    let inherits = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    for (name, manifest) in &workspace.crates {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, value) in manifest.table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let own = ["version", "path", "git"].iter().any(|key| value.get(key).is_some());
                if !inherits(value) || own {
                    found.push(format!("{name}: {kind}.{dependency} must be `.workspace = true`"));
                }
            }
        }
        for field in ["version", "edition", "rust-version", "license"] {
            if !manifest.table.get("package").and_then(|package| package.get(field)).is_some_and(inherits) {
                found.push(format!("{name}: package.{field} must be `.workspace = true`"));
            }
        }
        if manifest.table.contains_key("target") {
            found.push(format!("{name}: dependencies of one target are not looked at here"));
        }
    }
    found
}

fn manifests_are_whole(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    let of_all = workspace.root.get("workspace").and_then(|all| all.get("package")?.get("description"));
    for (name, manifest) in &workspace.crates {
        if manifest.table.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true)) {
            found.push(format!("{name}: [lints] workspace = true is missing"));
        }
        let own = manifest.table.get("package").and_then(|package| package.get("description"));
        let text = match own {
            Some(Value::Table(_)) => of_all,
            other => other,
        };
        if text.and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            found.push(format!("{name}: package.description is empty"));
        }
    }
    found
}

/// Features unify into the binary, and what is public for tests is public.
fn nothing_for_tests_alone(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (name, manifest) in &workspace.crates {
        for (feature, _) in manifest.table.get("features").and_then(Value::as_table).into_iter().flatten() {
            if feature.contains("test") {
                found.push(format!("{name} has the feature {feature}"));
            }
        }
    }
    found.extend(lines_with(workspace, |_, line| line.contains(concat!("doc(", "hidden)"))));
    found
}

fn no_ignored_test(workspace: &Workspace) -> Vec<String> {
    lines_with(workspace, |_, line| line.trim_start().starts_with(concat!("#[", "ignore")))
}

fn nobody_sleeps(workspace: &Workspace) -> Vec<String> {
    lines_with(workspace, |path, line| {
        line.contains(concat!("::", "sleep")) && !SLEEPERS.iter().any(|known| path == Path::new(known))
    })
}

fn files_are_short(workspace: &Workspace) -> Vec<String> {
    let long = workspace.sources.iter().map(|source| (source, source.text.lines().count()));
    long.filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| format!("{}: {lines} lines; at most {LINES_MAX}", source.path.display()))
        .collect()
}

/// Clippy's `disallowed-methods` holds it; here, that nobody but the listener, and tests in its place, is excepted.
fn answers_are_opened_once(workspace: &Workspace) -> Vec<String> {
    const LISTENER: &str = "crates/server/src/listener.rs";
    const RIG: &str = "testkit/conformance/src/rig.rs";
    let is_test = |path: &Path| path == Path::new(RIG) || path.iter().any(|part| part == "tests");
    let excepted = lines_with(workspace, |path, line| {
        line.contains(concat!("disallowed", "_methods")) && path != Path::new(LISTENER) && !is_test(path)
    });
    // Within the crates that see answers; elsewhere the word is another's.
    let opened = lines_with(workspace, |path, line| {
        let sees = ["crates/audit/src", "crates/gateway/src", "crates/server/src", "crates/connector"];
        sees.iter().any(|folder| path.starts_with(folder) || path.to_string_lossy().starts_with(folder))
            && (line.contains("answer.open()") || line.contains("Answer::open("))
            && path != Path::new(LISTENER)
            && !is_test(path)
    });
    excepted.into_iter().chain(opened).collect()
}

// ---- what they look at

fn dependencies(manifest: &Table, kinds: &[&str]) -> Vec<String> {
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables
        .flat_map(|table| {
            table.iter().map(|(name, value)| value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned())
        })
        .collect()
}

fn is_ours(workspace: &Workspace, name: &str) -> bool {
    workspace.crates.contains_key(name) || name == "asuser" || name.starts_with("asuser-")
}

fn lines_with(workspace: &Workspace, breaks: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in &workspace.sources {
        for (at, line) in source.text.lines().enumerate() {
            if breaks(&source.path, line) {
                found.push(format!("{}:{}: {}", source.path.display(), at + 1, line.trim()));
            }
        }
    }
    found
}

impl Workspace {
    fn read(root: &Path) -> Self {
        let manifest = |path: &Path| std::fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
        let mut workspace = Self { root: manifest(&root.join("Cargo.toml")), ..Self::default() };
        for folder in ["crates", "testkit", "fuzz", "xtask", "benches"] {
            workspace.walk(root, &root.join(folder));
        }
        workspace.sources.sort_by(|a, b| a.path.cmp(&b.path));
        workspace
    }

    fn walk(&mut self, root: &Path, folder: &Path) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target" && name != "corpus") {
                    self.walk(root, &path);
                }
            } else if path.file_name().is_some_and(|name| name == "Cargo.toml") {
                self.add_manifest(relative, &std::fs::read_to_string(&path).unwrap());
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.sources.push(Source { path: relative, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }

    fn add_manifest(&mut self, path: PathBuf, text: &str) {
        let table: Table = text.parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let replaced = self.crates.insert(name.clone(), Manifest { path, table });
        assert!(replaced.is_none(), "two crates are named {name}: {:?}", replaced.map(|other| other.path));
    }
}

#[test]
fn the_workspace_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap();
    let workspace = Workspace::read(root);
    assert!(workspace.crates.len() >= ORDER.len() && workspace.sources.len() > 100, "the walk found too little");
    let complaints: Vec<String> = CHECKS
        .iter()
        .flat_map(|(rule, check)| check(&workspace).into_iter().map(move |complaint| format!("{rule}: {complaint}")))
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The rule that keeps answers shut is clippy's; without its entry the check above would hold nothing.
#[test]
fn clippy_knows_who_opens_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap();
    let clippy: Table = std::fs::read_to_string(root.join("clippy.toml")).unwrap().parse().unwrap();
    let methods = clippy["disallowed-methods"].as_array().unwrap();
    let paths: Vec<&str> = methods.iter().filter_map(|method| method.get("path")?.as_str()).collect();
    assert!(paths.contains(&"asuser_audit::Answer::open"), "{paths:?}");
}

// ---- each check can fail

const SOUND: &str = r#"
[package]
name = "asuser-core"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
description = "words"
[lints]
workspace = true
[dependencies]
serde.workspace = true
"#;

fn sample(manifests: &[String], sources: &[(&str, &str)]) -> Workspace {
    let mut workspace = Workspace::default();
    for manifest in manifests {
        workspace.add_manifest("crates/x/Cargo.toml".into(), manifest);
    }
    workspace.sources =
        sources.iter().map(|(path, text)| Source { path: (*path).into(), text: (*text).to_owned() }).collect();
    workspace
}

fn named(name: &str) -> String {
    SOUND.replace("asuser-core", name)
}

#[test]
fn a_sound_sample_passes_every_check() {
    let sources = [
        ("crates/server/src/listener.rs", concat!("let opened = answer.open();\ntokio::time::", "sleep(soon).await;")),
        ("crates/audit-log/src/tests/run.rs", "let log = place.open();"),
        ("crates/query/src/tests.rs", "\"SELECT sleep(9)\""),
    ];
    let workspace = sample(&[SOUND.to_owned(), named("asuser-identity") + "asuser-core.workspace = true\n"], &sources);
    for (rule, check) in CHECKS {
        assert_eq!(check(&workspace), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn a_wrong_manifest_is_complained_of() {
    let wrong: &[(&str, Check, String)] = &[
        ("upwards", order_of_crates, SOUND.to_owned() + "asuser-identity.workspace = true\n"),
        ("renamed", order_of_crates, SOUND.to_owned() + "i = { workspace = true, package = \"asuser-identity\" }\n"),
        ("builds with", order_of_crates, SOUND.to_owned() + "[build-dependencies]\nasuser-policy.workspace = true\n"),
        ("unknown crate", order_of_crates, named("asuser-news")),
        ("the driver", order_of_crates, named("asuser-gateway") + "asuser-connector-sqlite.workspace = true\n"),
        ("the log", order_of_crates, named("asuser-audit-log") + "asuser-store.workspace = true\n"),
        ("cedar", heavy_dependencies, named("asuser-server") + "cedar-policy.workspace = true\n"),
        ("sqlite", heavy_dependencies, named("asuser-gateway") + "rusqlite = { workspace = true }\n"),
        ("a version", versions_in_one_place, SOUND.to_owned() + "sha2 = \"1\"\n"),
        ("a path", versions_in_one_place, SOUND.to_owned() + "sha2 = { path = \"../sha2\" }\n"),
        (
            "a test version",
            versions_in_one_place,
            SOUND.to_owned() + "[dev-dependencies]\nsha2 = { version = \"1\" }\n",
        ),
        ("an edition", versions_in_one_place, SOUND.replace("edition.workspace = true", "edition = \"2021\"")),
        (
            "of one target",
            versions_in_one_place,
            SOUND.to_owned() + "[target.'cfg(unix)'.dependencies]\nsha2 = \"1\"\n",
        ),
        ("no lints", manifests_are_whole, SOUND.replace("[lints]\nworkspace = true\n", "")),
        ("no description", manifests_are_whole, SOUND.replace("\"words\"", "\"\"")),
        ("a feature", nothing_for_tests_alone, SOUND.to_owned() + "[features]\ntest-util = []\n"),
    ];
    for (what, check, manifest) in wrong {
        let workspace = sample(std::slice::from_ref(manifest), &[]);
        assert_eq!(check(&workspace).len(), 1, "{what}: {:?}", check(&workspace));
    }
}

#[test]
fn a_wrong_source_is_complained_of() {
    let long = "x\n".repeat(LINES_MAX + 1);
    let wrong: &[(Check, &str, &str)] = &[
        (nothing_for_tests_alone, "crates/x/src/lib.rs", concat!("#[doc(", "hidden)]")),
        (no_ignored_test, "crates/x/tests/it.rs", concat!("    #[", "ignore = \"slow\"]")),
        (nobody_sleeps, "crates/x/tests/it.rs", concat!("std::thread::", "sleep(second);")),
        (nobody_sleeps, "crates/x/src/lib.rs", concat!("use tokio::time::", "sleep;")),
        (files_are_short, "crates/x/src/lib.rs", &long),
        (answers_are_opened_once, "crates/server/src/rest/mod.rs", "let opened = answer.open();"),
        (answers_are_opened_once, "crates/gateway/src/pipeline.rs", "Answer::open(answer)"),
        (answers_are_opened_once, "crates/x/src/lib.rs", concat!("#[allow(clippy::disallowed", "_methods)]")),
    ];
    for (check, path, text) in wrong {
        let workspace = sample(&[], &[(path, text)]);
        assert_eq!(check(&workspace).len(), 1, "{text}");
    }
}
