//! A client that begins with nothing but asuser's address: 401, metadata, registration, sign-in with PKCE at a real provider, and a
//! token for this asuser and no other.

use std::io::{BufRead as _, BufReader, Read as _};

use asuser_testkit::oidc_provider::{CLIENT, OidcProvider};

use super::{PYTHON, Stdio, install, provider, told};
use crate::site::Site;

/// An asuser that takes tokens for its own address, which is known once it listens.
fn site(provider: &OidcProvider) -> Site {
    let identity = |audience: &str| {
        let issuer = provider.issuer();
        format!(
            "[[identity]]\nname = \"company\"\nkind = \"oidc\"\nissuer = \"{issuer}\"\naudience = \"{audience}\"\n\
             allow_addresses = [\"127.0.0.1\"]\n"
        )
    };
    let not_yet = identity("https://not-yet.example.com");
    let mut site = provider::site(&not_yet);
    let config = std::fs::read_to_string(site.path("asuser.toml")).unwrap();
    site.write("asuser.toml", &config.replace(&not_yet, &identity(&format!("{}/mcp", site.url()))));
    site.signal("HUP");
    site.wait_for_log("why=\"reload\"");
    site
}

/// Runs a program, and is the person in the browser that it opens. Gives where the person was sent, and what the program said then.
fn sign_in(provider: &OidcProvider, site: &Site, folder: &str, person: &str) -> (String, String) {
    let program = install::workspace("examples/mcp").join(folder).join("login.py");
    let mut command = install::python("venv-mcp", &program);
    install::surround(&mut command, site);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Both pipes are read at once, or a full one would stop the program.
    let mut errors = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find(|line| line.starts_with("http://"));
    if let Some(url) = &url {
        let back = provider.browse(url, person);
        assert_eq!(back.status, 200, "{back:?}");
    }
    let said: Vec<String> = lines.collect();
    let status = child.wait().unwrap();
    let errors = errors.join().unwrap();
    assert!(status.success(), "{url:?} {said:?} {errors}");
    (url.unwrap_or_else(|| panic!("no sign-in: {said:?} {errors}")), said.join("\n"))
}

#[test]
fn the_python_sdk_needs_nothing_but_the_address() {
    signs_in_as_each_person("python");
}
#[test]
fn fastmcp_needs_nothing_but_the_address() {
    signs_in_as_each_person("fastmcp");
}

fn signs_in_as_each_person(folder: &str) {
    if !install::can_run(&PYTHON) {
        return;
    }
    let Some(provider) = provider::installed() else { return };
    let site = site(&provider);
    for (person, others) in [("alice", "SECRET"), ("bob", "ada@one")] {
        let (url, said) = sign_in(&provider, &site, folder, person);
        // Where the person was sent: asuser's own address as resource, the scope of the challenge, PKCE.
        let resource = format!("resource={}", crate::site::escape(&format!("{}/mcp", site.url())));
        for part in [resource.as_str(), "scope=db%3Aread", "code_challenge_method=S256"] {
            assert!(url.contains(part), "{part}: {url}");
        }
        assert!(said.contains(&format!("person: {person}")), "{said}");
        assert!(said.contains(&format!("\"owner\": \"{person}\"")) && !said.contains(others), "{said}");
    }
    let paths: Vec<String> = provider.requests().iter().map(|request| request.path.clone()).collect();
    assert!(paths.iter().any(|path| path == "/reg"), "the client registered itself: {paths:?}");
}

/// The same client with a token that the provider issued for something else, and its twin.
#[test]
fn a_token_for_another_resource_is_refused_where_the_client_shows_it() {
    if !install::can_run(&PYTHON) {
        return;
    }
    let Some(provider) = provider::installed() else { return };
    let site = site(&provider);
    let token = |resource: &str| provider.tokens("alice", CLIENT, resource, "openid db:read").access_token;
    provider::wait_for_keys(&site, &token(&format!("{}/mcp", site.url())));
    let good = told(&PYTHON, &site, &token(&format!("{}/mcp", site.url())));
    assert_eq!((good.person.as_str(), good.ids()), ("alice", vec![1, 3]));
    for other in ["https://postgres.example.com", site.url().as_str()] {
        let output = install::command(&PYTHON, &site).env("ASUSER_TOKEN", token(other)).output().unwrap();
        let said = crate::site::said(&output);
        assert!(!output.status.success() && said.contains("MCPError: "), "{said}");
        assert!(said.contains("audience") && !said.contains("rows:"), "{said}");
    }
}
