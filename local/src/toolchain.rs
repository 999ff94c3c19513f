//! The external programs that run the functions: cargo and cargo-lambda.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::supervisor::Program;

/// Variables that `cargo run` sets for its program. If another cargo inherits them, it rebuilds crates whose build
/// scripts read them.
const FROM_CARGO: [&str; 7] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// Returns the environment for programs that the stack starts: the user's own, without AWS accounts and cargo's
/// additions, plus `variables`.
pub fn environment(variables: &BTreeMap<String, String>) -> BTreeMap<OsString, OsString> {
    let is_foreign = |name: &OsString| {
        let name = name.to_string_lossy();
        name == "CARGO" || name.starts_with("AWS_") || FROM_CARGO.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut environment: BTreeMap<_, _> = env::vars_os().filter(|(name, _)| !is_foreign(name)).collect();
    environment.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
    environment
}

/// Returns the path of `cargo-lambda`: the one that `CARGO_LAMBDA` names, else the first on `PATH`, else the one in
/// `.venv` under `root`, where `make` installs it.
///
/// # Errors
/// Fails if there is none.
pub fn cargo_lambda(root: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os("CARGO_LAMBDA").filter(|name| !name.is_empty()) {
        return Ok(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([root.join(".venv/bin")]);
    folders
        .find_map(|folder| Some(folder.join("cargo-lambda")).filter(|program| program.is_file()))
        .context("cargo-lambda is not installed: `make run` installs it, or set CARGO_LAMBDA to its path")
}

/// Builds `binaries` of the workspace at `root`. Progress and errors go to the terminal.
///
/// # Errors
/// Fails if the build fails.
pub async fn build(root: &Path, profile: &str, binaries: &[String]) -> Result<Vec<Program>> {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", profile, "--message-format", "json-render-diagnostics"]);
    for binary in binaries {
        command.args(["--bin", binary]);
    }
    command.current_dir(root).env_clear().envs(environment(&BTreeMap::new()));
    // Standard output contains the JSON messages.
    let cargo = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true).spawn();
    let output = cargo.context("cannot start cargo")?.wait_with_output().await.context("cannot wait for cargo")?;
    if !output.status.success() {
        bail!("the functions do not build; the errors stand above");
    }
    let programs: BTreeMap<_, _> = String::from_utf8_lossy(&output.stdout).lines().filter_map(program).collect();
    let found = |name: &String| {
        let path = programs.get(name).with_context(|| format!("cargo says nothing of the binary {name}"))?;
        Ok(Program { name: name.clone(), path: path.clone() })
    };
    binaries.iter().map(found).collect()
}

/// Returns the name and path of the binary in a cargo message. Format:
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_a_binary_and_where_it_is() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"post-log"},"executable":"/t/debug/post-log"}"#;
        assert_eq!(program(message), Some(("post-log".to_owned(), "/t/debug/post-log".into())));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"shared"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "no JSON",
        ] {
            assert_eq!(program(other), None, "{other}");
        }
    }

    #[test]
    fn programs_inherit_neither_aws_account_nor_cargo_variables() {
        // Cargo has set these variables for the test itself.
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some() && env::var_os("PATH").is_some());
        let environment = environment(&BTreeMap::from([("AWS_REGION".to_owned(), "here".to_owned())]));
        let names: Vec<_> = environment.keys().map(|name| name.to_string_lossy()).collect();
        let of_aws: Vec<_> = names.iter().filter(|name| name.starts_with("AWS_")).collect();
        assert_eq!(of_aws, ["AWS_REGION"]);
        assert!(!names.iter().any(|name| name == "CARGO" || name.starts_with("CARGO_MANIFEST_")), "{names:?}");
        assert!(names.iter().any(|name| name == "PATH"));
    }
}
