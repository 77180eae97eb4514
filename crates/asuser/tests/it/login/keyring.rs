//! A real keyring (GNOME Keyring on a session bus of the test's own), where it is installed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{CLIENT, Person, TELLTALE, both, come_back};
use crate::site::said;

struct Keyring {
    bus: Child,
    daemon: Child,
    address: String,
}

impl Keyring {
    /// Starts and unlocks one.
    #[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
    fn start(home: &Path) -> Option<Self> {
        for program in ["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"] {
            let found =
                Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
            if !found.is_ok_and(|status| status.success()) {
                println!("skipped: no keyring here ({program} is missing)");
                return None;
            }
        }
        // A bus without services of its own, so that no second keyring is started on it.
        let config = home.join("bus.conf");
        let words = "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context=\"default\"><allow \
                     send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>";
        std::fs::write(&config, words).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let mut daemon = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
            .envs([("HOME", home), ("XDG_RUNTIME_DIR", home), ("XDG_DATA_HOME", home)])
            .env_remove("DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        daemon.stdin.take().unwrap().write_all(b"a password").unwrap();
        let keyring = Self { bus, daemon, address };
        while !keyring.is_there() {}
        Some(keyring)
    }

    fn is_there(&self) -> bool {
        let asked = Command::new("dbus-send")
            .args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/",
                "org.freedesktop.DBus.NameHasOwner",
            ])
            .arg("string:org.freedesktop.secrets")
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .output()
            .unwrap();
        said(&asked).contains("boolean true")
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sign_in(person: &Person, url: &str, store: &str) -> String {
    let signing_in = person.begin(url, &["--client-id", "cli", "--store", store]);
    let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
    come_back(&redirect, &format!("code=c&state={state}"));
    let (code, words) = signing_in.end();
    assert_eq!(code, Some(0), "{words}");
    words
}

#[test]
fn tokens_are_kept_in_a_keyring_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let Some(keyring) = Keyring::start(folder.path()) else { return };
    let person = Person::new().with("DBUS_SESSION_BUS_ADDRESS", &keyring.address);
    let stub = both(|_, _, _| {});
    for store in ["auto", "keyring"] {
        assert!(sign_in(&person, &stub.url(), store).contains("kept in the keyring"));
        assert_eq!((&person.kept()["kept"], person.kept().get("tokens")), (&json!("keyring"), None));
        let status = person.run(&["login", "--url", &stub.url(), "--status"]);
        assert!(status.status.success() && said(&status).contains("kept in the keyring"), "{}", said(&status));
    }
    // In a file afterwards: the keyring has nothing any more.
    sign_in(&person, &stub.url(), "file");
    assert_eq!(person.kept()["tokens"]["access_token"], json!(format!("{TELLTALE}1")));
    person.change(|kept| *kept = json!({"version": 1, "url": stub.url(), "kept": "keyring"}));
    let status = person.run(&["login", "--url", &stub.url(), "--status"]);
    assert!(said(&status).contains("nobody is signed in"), "{}", said(&status));
    // And out again, from the keyring.
    sign_in(&person, &stub.url(), "keyring");
    let out = person.run(&["logout", "--url", &stub.url()]);
    assert!(out.status.success() && person.file().is_none(), "{}", said(&out));
}

#[test]
fn what_the_keyrings_program_would_cut_off_goes_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let Some(keyring) = Keyring::start(folder.path()) else { return };
    let person = Person::new().with("DBUS_SESSION_BUS_ADDRESS", &keyring.address);
    let stub = both(|path, _, body| {
        if path == "/token" {
            body["access_token"] = json!(TELLTALE.repeat(2000));
        }
    });
    let words = sign_in(&person, &stub.url(), "auto");
    assert!(words.contains("no keyring is used") && words.contains(".json"), "{words}");
    assert_eq!(person.kept()["kept"], "file");
}

#[test]
fn without_a_keyring_there_is_a_file_or_a_refusal() {
    let (stub, person) = (both(|_, _, _| {}), Person::new());
    let words = sign_in(&person, &stub.url(), "auto");
    assert!(words.contains("no keyring is used") && person.kept()["kept"] == "file", "{words}");
    let person = Person::new();
    let signing_in = person.begin(&stub.url(), &[&CLIENT[..2], &["--store", "keyring"]].concat());
    let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
    come_back(&redirect, &format!("code=c&state={state}"));
    let (code, words) = signing_in.end();
    assert!(code == Some(1) && words.contains("keyring"), "{words}");
    assert_eq!(person.file(), None);
}
