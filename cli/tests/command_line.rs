//! The commands without a stack: their messages and exit codes.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signals"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace"));
    command
}

fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("signals")
}

fn folder() -> TempDir {
    TempDir::with_prefix("signals-test-").expect("a folder")
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn commands_say_in_one_line_that_no_stack_runs() {
    let data = folder();
    let path = data.path().to_str().expect("text");
    for arguments in [&["key", "list"][..], &["demo"]] {
        let output = run(&[arguments, &["--data", path]].concat());
        assert_eq!(output.status.code(), Some(1));
        let error = error_of(&output);
        assert!(error.starts_with("error: no stack is running on the data in"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // The same applies if an earlier stack has left its description behind.
    std::fs::write(data.path().join("stack.json"), "{}").expect("a file");
    std::fs::write(data.path().join("lock"), "").expect("a file");
    assert!(error_of(&run(&["key", "list", "--data", path])).contains("no stack is running"));
}

#[test]
fn missing_aws_sign_in_is_explained_in_one_line() {
    let home = folder();
    let run = |region: &[(&str, &str)]| {
        let mut command = command();
        command.args(["key", "list", "--stack", "signals"]).env_clear().env("HOME", home.path());
        // The EC2 metadata service must not be queried either.
        let output = command.env("AWS_EC2_METADATA_DISABLED", "true").envs(region.iter().copied()).output();
        let output = output.expect("signals");
        (output.status.code(), error_of(&output))
    };
    let (code, error) = run(&[]);
    assert!(code == Some(1) && error.starts_with("error: no AWS region is set"), "{error}");
    let (code, error) = run(&[("AWS_REGION", "eu-central-1")]);
    assert!(
        code == Some(1) && error.starts_with("error: no AWS credentials") && error.contains("aws sso login"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn invalid_arguments_are_rejected_with_a_reason() {
    let create = ["key", "create", "--name", "n"];
    for (arguments, reason) in [
        (&["--scopes", "logs:all", "--agents", "*"][..], "logs:all"),
        (&["--scopes", "logs:read", "--agents", "a/b"], "the agent \"a/b\""),
        (&["--scopes", "logs:read", "--agents", "*", "--expires", "2027-02-30"], "2027-02-30"),
    ] {
        let output = run(&[&create[..], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(&output).contains(reason), "{}", error_of(&output));
    }
    let output = run(&["erase", "--user", "a/b", "--yes"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_of(&output).contains("the user \"a/b\""), "{}", error_of(&output));
}
