//! cargo-lambda works with the files that a running stack writes, and reports functions that do not start.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local::ports::WATCH_OFFSET;
use local::toolchain;
use serde_json::Value;
use shared::env::LOG_BUCKET;

use crate::support::{Up, data, eventually, port_base, root, turn};

/// Functions that read the log bucket.
const FUNCTIONS: [&str; 2] = ["get-health", "get-summary"];
/// Longer than a function needs to respond, and shorter than `cargo lambda watch` waits for a function.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Reads the functions' environment as `cargo lambda watch --env-file` does.
fn environment(data: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(data.join("env")).expect("the environment");
    let variable = |line: &str| {
        let (name, value) = line.split_once('=').expect("a variable");
        (name.to_owned(), value.to_owned())
    };
    text.lines().map(variable).collect()
}

#[tokio::test]
async fn files_of_the_stack_invoke_its_functions() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let event = data.path().join("post-log.json");
    for file in [&event, &data.path().join("env")] {
        let mode = std::fs::metadata(file).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let output = Command::new(toolchain::cargo_lambda(&root()).expect("cargo-lambda"))
        .args(["lambda", "invoke", "post-log", "--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &(up.base + WATCH_OFFSET).to_string(), "--data-file"])
        .arg(&event)
        .current_dir(root())
        .output()
        .expect("cargo-lambda");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let response: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(response["statusCode"], 200, "{response}");
    let entries: Value = up.api().get("/logs/support/maria").await.json().await.expect("JSON");
    assert_eq!(entries.as_array().map(Vec::len), Some(1), "{entries}");

    let [endpoint, bucket] = ["AWS_ENDPOINT_URL_S3", LOG_BUCKET].map(|name| environment(data.path())[name].clone());
    assert!(endpoint.starts_with("http://127.0.0.1:") && !bucket.is_empty(), "{endpoint} {bucket}");
    up.end();
    assert!(!event.exists() && !data.path().join("env").exists());
}

/// Processes that end with the test.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ended = child.kill();
            let _status = child.wait();
        }
    }
}

#[tokio::test]
async fn function_without_a_variable_answers_each_request_with_the_reason() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let complete = environment(data.path());
    let folder = crate::support::data();
    let address = format!("127.0.0.1:{}", port_base());
    let programs = toolchain::build(&root(), "dev", &FUNCTIONS.map(str::to_owned)).await.expect("functions");
    let spawn = |command: &mut Command| command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process");
    let (host, port) = address.split_once(':').expect("an address");
    let watch = spawn(
        Command::new(toolchain::cargo_lambda(&root()).expect("cargo-lambda"))
            .args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", host, "--invoke-port", port])
            .arg("--manifest-path")
            .arg(root().join("Cargo.toml"))
            .current_dir(folder.path()),
    );
    let mut processes = Processes(vec![watch]);
    eventually("cargo lambda watch listens", async || tokio::net::TcpStream::connect(&address).await.ok()).await;

    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().expect("a client");
    let cases = [(BTreeMap::new(), "AWS_REGION"), (complete, LOG_BUCKET)];
    for ((name, program), (mut variables, missing)) in FUNCTIONS.into_iter().zip(&programs).zip(cases) {
        variables.remove(missing);
        processes.0.push(spawn(
            Command::new(&program.path)
                .env_clear()
                .envs(variables)
                .env("AWS_LAMBDA_RUNTIME_API", format!("http://{address}/.rt/{name}"))
                .env("AWS_LAMBDA_FUNCTION_NAME", name)
                .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ));
        for _ in 0..3 {
            let url = format!("http://{address}/2015-03-31/functions/{name}/invocations");
            let response = client.post(url).body("{}").send().await.expect("an answer");
            assert_eq!(response.status(), 500);
            let error: Value = response.json().await.expect("JSON");
            let message = error["errorMessage"].as_str().expect("a message");
            assert!(message.contains(missing) && message.contains("make run"), "{error}");
        }
    }
    up.end();
}
