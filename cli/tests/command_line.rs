//! The commands without a stack: their messages and exit codes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tokio::net::TcpSocket;

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
    for arguments in
        [&["key", "list"][..], &["demo"], &["import", "none.csv"], &["export", "--agent", "a"], &["otlp", "doctor"]]
    {
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

const ROWS: &str = r#"{"agent_id":"a","user_id":"maria","user_input":"hi","timestamp":"2026-01-01T00:00:00Z","x":1}
{"agent_id":"a","user_id":"maria","user_input":"ho","timestamp":1767229199}
nope
{"agent_id":"b","user_id":"a/b","user_input":"hi","timestamp":"soon"}
{"agent_id":"b","user_id":"paul","user_input":"hi","timestamp":"2026-02-01T00:00:00Z"}
"#;

#[test]
fn dry_run_counts_rows_and_names_invalid_ones() {
    let data = folder();
    let file = data.path().join("rows.jsonl");
    std::fs::write(&file, ROWS).expect("a file");
    let output = run(&["import", file.to_str().expect("text"), "--dry-run"]);
    assert_eq!(output.status.code(), Some(1), "{}", error_of(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().collect();
    let counts = [
        "rows      5",
        "valid     3",
        "invalid   2",
        "agents    2",
        "users     2",
        "since     2026-01-01T00:00:00.000Z",
        "until     2026-02-01T00:00:00.000Z",
        "requests  1",
        "objects   2 (one per agent, user and hour of a request)",
        "not imported: x",
    ];
    assert_eq!(lines[..10], counts);
    assert!(lines[10].starts_with("line 3: not JSON: "), "{text}");
    assert!(lines[11].starts_with("line 4: user_id: must not contain '/'; timestamp: "), "{text}");
    assert_eq!(lines.len(), 12);

    let valid: String = ROWS.lines().filter(|line| line.contains("T00")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, valid).expect("a file");
    let output = run(&["import", file.to_str().expect("text"), "--dry-run"]);
    assert!(output.status.success());
}

#[test]
fn dry_run_reads_standard_input_and_names_missing_columns() {
    let mut child = command()
        .args(["import", "-", "--format", "csv", "--dry-run", "--user-id", "who"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("signals");
    child.stdin.take().expect("its input").write_all(b"who,text\nmaria,hi\n").expect("written");
    let output = child.wait_with_output().expect("its end");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    let end = "line 2: agent_id: missing; user_input: missing; timestamp: missing\n\
               for missing fields: --agent-id COLUMN or --set agent_id=support, \
               --user-input COLUMN or --set user_input=VALUE, \
               --timestamp COLUMN or --set timestamp=2026-01-01T12:00:00Z\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn import_and_export_explain_wrong_arguments() {
    for (arguments, code, reason) in [
        (&["import"][..], 2, "<FILE>"),
        (&["import", "none.jsonl", "--dry-run"], 1, "cannot read none.jsonl: No such file"),
        (&["import", "chats.xlsx", "--dry-run"], 1, "the format of chats.xlsx is not known"),
        (&["import", "-", "--dry-run"], 1, "the format of standard input is not known"),
        (&["import", "a.csv", "--dry-run", "--set", "agent=x"], 1, "no field \"agent\""),
        (&["import", "a.csv", "--dry-run", "--set", "user_id=x", "--user-id", "y"], 1, "user_id has two sources"),
        (&["export"], 2, "--agent"),
        (&["export", "--agent", "a/b"], 2, "the agent \"a/b\""),
        (&["export", "--agent", "a", "--since", "soon"], 2, "the time \"soon\""),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(error_of(&output).contains(reason), "{arguments:?}: {}", error_of(&output));
    }
}

#[test]
fn otlp_doctor_explains_what_is_wrong_without_a_stack() {
    let doctor = |key: Option<&str>, arguments: &[&str]| {
        let mut command = command();
        command.args(["otlp", "doctor"]).args(arguments).env_remove("SIGNALS_KEY");
        let output = command.envs(key.map(|key| ("SIGNALS_KEY", key))).output().expect("signals");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), error_of(&output))
    };
    let (code, _, error) = doctor(None, &["--url", "https://a.example/api"]);
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with("error: SIGNALS_KEY is not set: set it to an API key of the stack at https://"),
        "{error}"
    );
    let (code, _, error) = doctor(Some("sig_x"), &["--url", "a.example/api"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("\"a.example/api\" is not the address of an API: it begins with https://"), "{error}");
    for (arguments, reason) in [
        (&["--url", "https://a.example", "--stack", "s"][..], "cannot be used with"),
        (&["--agent", "a/b"], "the agent \"a/b\""),
    ] {
        let (code, _, error) = doctor(Some("sig_x"), arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(error.contains(reason), "{error}");
    }

    // Nobody listens on the port of a socket that is bound and does not listen.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}/api/v1/traces", socket.local_addr().expect("an address"));
    let (code, text, _) = doctor(Some("sig_x"), &["--url", &url]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("PROBLEM  address        exporters append /v1/traces"), "{text}");
    let base = url.strip_suffix("/v1/traces").expect("the path");
    assert!(text.contains(&format!("PROBLEM  reachable      nothing listens at {base}: ")), "{text}");
    assert!(text.contains(&format!("\nexport OTEL_EXPORTER_OTLP_ENDPOINT={base}\n")), "{text}");
    assert!(text.contains("\nexport OTEL_EXPORTER_OTLP_HEADERS=\"x-api-key=$SIGNALS_KEY\"\n"), "{text}");
}

/// Runs `signals` with `arguments`, and `input` as its standard input.
fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut command = command();
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("signals");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("its end")
}

/// Returns the text, the signal and the first matched term of each line.
fn classified(output: &Output) -> Vec<[String; 3]> {
    assert!(output.status.success(), "{}", error_of(output));
    let lines = String::from_utf8_lossy(&output.stdout);
    let fields = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        ["/text", "/signal", "/matched/0/term"]
            .map(|field| line.pointer(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned())
    };
    lines.lines().map(fields).collect()
}

#[test]
fn classify_reads_arguments_or_lines() {
    let expected =
        [["I am so frustrated", "stressed", "frustrat*"], ["", "neutral", ""]].map(|line| line.map(str::to_owned));
    assert_eq!(classified(&run(&["classify", "I am so frustrated", ""])), expected);
    assert_eq!(classified(&run_with_input(&["classify"], "I am so frustrated\r\n\n")), expected);
}

#[test]
fn classify_measures_a_configuration_against_feedback() {
    let data = folder();
    let path = |name: &str| data.path().join(name).to_str().expect("text").to_owned();
    let toml = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../signals.toml")).expect("a file");
    // Words that no lexicon knows.
    let config = toml.replacen("\"angry\"", "\"angry\", \"zorp\", \"blarg\"", 1);
    assert_ne!(config, toml);
    std::fs::write(path("my.toml"), config).expect("a file");
    let feedback = |text: &str, signal: &str, detected: &str| serde_json::json!({ "user_input": text, "signal": signal, "detected_signal": detected, "given_by": "ci" });
    let first = [feedback("zorp 4471", "stressed", "neutral"), feedback("blarg 4471", "stressed", "neutral")];
    let page = serde_json::json!({ "feedback": first, "agreement": {} });
    std::fs::write(path("feedback.jsonl"), format!("{page}\n{}\n", feedback("thanks", "positive", "neutral")))
        .expect("a file");

    // Without another configuration, the signals of the file are the reference.
    let output = run(&["classify", "--against", &path("feedback.jsonl")]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", error_of(&output));
    assert!(text.contains("accuracy of the detected signals 0.000 (0 of 3)"), "{text}");
    assert!(text.contains("better neutral → positive, should be positive: \"thanks\""), "{text}");

    let output =
        run(&["classify", "--against", &path("feedback.jsonl"), "--config", &path("my.toml"), "--changes", "1"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", error_of(&output));
    assert!(
        text.starts_with("accuracy 1.000 (3 of 3)\naccuracy of the configuration compiled in 0.333 (1 of 3)\n"),
        "{text}"
    );
    assert!(text.contains("\nstressed "), "{text}");
    assert!(text.contains(": 2 texts, 2 better, 0 worse\nbetter "), "{text}");
    assert!(text.ends_with("and 1 more; --changes prints more of them\n"), "{text}");

    let piped = run_with_input(&["classify", "--against", "-"], &page.to_string());
    assert!(piped.status.success(), "{}", error_of(&piped));
}

#[test]
fn classify_explains_wrong_files_and_arguments() {
    let data = folder();
    let path = |name: &str| data.path().join(name).to_str().expect("text").to_owned();
    std::fs::write(path("bad.toml"), "[classifier]\nmod = 1\n").expect("a file");
    std::fs::write(path("bad.jsonl"), "{\"user_input\":\"a\"}\n").expect("a file");
    for (arguments, code, reason) in [
        (&["--against", "none.jsonl"][..], 1, "cannot read none.jsonl: No such file"),
        (&["--against", &path("bad.jsonl")], 1, "bad.jsonl: line 1: not feedback, which has user_input and signal"),
        (&["--config", "none.toml", "text"], 1, "cannot read none.toml: No such file"),
        (&["--config", &path("bad.toml"), "text"], 1, "bad.toml:2: "),
        (&["--against", "a", "text"], 2, "cannot be used with"),
        (&["--changes", "3"], 2, "--against"),
    ] {
        let output = run(&[&["classify"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(error_of(&output).contains(reason), "{arguments:?}: {}", error_of(&output));
    }
}
