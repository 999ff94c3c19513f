//! The subcommand `up`: runs a stack in the foreground.

use std::io::{IsTerminal, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::reload::Sources;
use crate::shutdown::Interruption;
use crate::stack::{Options, Stack};
use crate::toolchain;

/// The polling interval of the log when it is shown.
const LOG_PERIOD: Duration = Duration::from_millis(100);

/// Runs a stack until it is interrupted or fails; `verbose` shows the functions' log.
///
/// # Errors
/// Fails if the stack does not start, or a part of it ends by itself.
pub async fn run(options: &Options, verbose: bool) -> Result<()> {
    let mut interruption = Interruption::listen()?;
    let mut stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        _ = interruption.wait() => return Ok(()),
    };
    print_addresses(&stack)?;
    let follower = verbose.then(|| tokio::spawn(follow(stack.log())));
    let outcome = tokio::select! {
        error = drive(&mut stack, options) => Err(error),
        _ = interruption.wait() => Ok(()),
    };
    if let Some(follower) = follower {
        follower.abort();
    }
    if outcome.is_ok() && std::io::stderr().is_terminal() {
        eprintln!("\nstopping");
    }
    stack.stop().await;
    outcome
}

/// Rebuilds and restarts the functions whenever their sources change, until the stack fails. If a build fails, the
/// previous functions keep running.
async fn drive(stack: &mut Stack, options: &Options) -> anyhow::Error {
    let binaries = stack.binaries();
    let mut sources = Sources::of(&options.root).await;
    loop {
        let build = async {
            sources.changed().await;
            toolchain::build(&options.root, &options.profile, &binaries).await
        };
        let built = tokio::select! {
            error = stack.failure() => return error,
            built = build => built,
        };
        match built {
            Ok(_) => match stack.restart_functions().await {
                Ok(()) => eprintln!("the functions run again, rebuilt"),
                Err(_) => return stack.failure().await,
            },
            Err(error) => eprintln!("{error:#}; the previous functions keep running"),
        }
    }
}

fn print_addresses(stack: &Stack) -> Result<()> {
    let description = stack.description();
    println!(
        "Dashboard  {}      API  {}      key in {}",
        stack.link()?,
        description.api,
        short(&stack.key_file()).display()
    );
    println!("The link to the dashboard works once, within one minute. `make link` prints another.");
    println!("Invocations without a key (cargo lambda invoke): {}", description.functions);
    println!("The functions' log is {} (-v shows it here). Ctrl-C ends the stack.", short(&stack.log()).display());
    Ok(())
}

/// Returns `path` relative to the current folder, if it is below.
fn short(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// Prints what is appended to the file at `path`, from now on.
async fn follow(path: PathBuf) {
    let Ok(mut file) = tokio::fs::File::open(&path).await else { return };
    let Ok(_) = file.seek(SeekFrom::End(0)).await else { return };
    let mut text = Vec::new();
    while file.read_to_end(&mut text).await.is_ok() {
        eprint!("{}", String::from_utf8_lossy(&text));
        text.clear();
        tokio::time::sleep(LOG_PERIOD).await;
    }
}
