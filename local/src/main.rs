//! The command line of the local cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use local::place::Place;
use local::ports::Ports;
use local::stack::Options;
use local::state::DataFolder;
use local::{alert, demo, erase, exec, host, keys, link, redrive, up};
use shared::auth::{Agents, Scope};
use shared::ids::UserId;

/// Enough processes for requests to run concurrently as on AWS, and for a call to find a free process.
const PROCESSES: u16 = 4;

/// The file that defines the stack.
const TEMPLATE: &str = "template.yaml";

/// The laptop's cloud: DynamoDB, S3, SQS, the functions and the dashboard on one machine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a stack and stay in front of it; Ctrl-C ends it.
    Up {
        #[command(flatten)]
        data: Data,
        /// The port of the dashboard and the API. The stores use the next three, invocations the port 920 above.
        #[arg(long, default_value_t = 8080)]
        port_base: u16,
        /// The cargo profile of the functions.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// Show the functions' log.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Run a command against a fresh stack on free ports and take the stack down.
    ///
    /// The command finds SIGNALS_URL, SIGNALS_KEY, SIGNALS_DASHBOARD and the functions' own variables in its environment.
    Exec {
        /// Leave the stack's data behind and say where.
        #[arg(long)]
        keep: bool,
        /// The cargo profile of the functions.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// The command.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Print a sign-in link to the running stack's dashboard. It works once, within one minute.
    Link {
        #[command(flatten)]
        data: Data,
    },
    /// Manage the API keys of the running stack, or of one on AWS.
    Key {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Remove all that the running stack, or one on AWS, stores of a user.
    Erase {
        #[command(flatten)]
        target: Target,
        /// The user.
        #[arg(long, value_parser = parse_user)]
        user: UserId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Send interactions and events to the running stack: a small set of its own, or each line of a file.
    Demo {
        #[command(flatten)]
        data: Data,
        /// A text file whose lines become interactions; of a .tsv the first column.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Try out where the alerts of the running stack go, or of one on AWS.
    Alert {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Send the dead letters of the running stack, or of one on AWS, back to their queues, once the cause is fixed.
    Redrive {
        #[command(flatten)]
        target: Target,
        /// List them and leave them where they are.
        #[arg(long)]
        list: bool,
    },
    /// Run what standard input says until it ends, and leave nothing of it behind.
    #[command(hide = true)]
    Host,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key and show it, once.
    Create {
        /// The name of the key.
        #[arg(long)]
        name: String,
        /// The scopes of the key, separated by commas: logs:write, logs:read, events:write, events:read.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// The agents it may touch, with commas between, or * for all.
        #[arg(long, value_parser = keys::parse_agents)]
        agents: Agents,
        /// The day from which it is no longer valid, such as 2027-01-01 (UTC).
        #[arg(long, value_parser = keys::parse_day)]
        expires: Option<i64>,
    },
    /// Show the keys there are.
    List,
    /// Delete a key. Functions that have seen it forget it within a minute.
    Revoke {
        /// Its name, or the first digits of its hash.
        key: String,
    },
}

#[derive(Subcommand)]
enum AlertCommand {
    /// Send a signed test message.
    Test,
}

#[derive(Args)]
struct Data {
    /// The folder of the stack's data; .local beside template.yaml unless named.
    #[arg(long, global = true)]
    data: Option<PathBuf>,
}

impl Data {
    fn folder(self) -> Result<PathBuf> {
        let folder = match self.data {
            Some(folder) => folder,
            None => root()?.join(".local"),
        };
        std::path::absolute(&folder).with_context(|| format!("{} is no path", folder.display()))
    }
}

/// Which stack is meant.
#[derive(Args)]
struct Target {
    #[command(flatten)]
    data: Data,
    /// The name of a CloudFormation stack on AWS. Region and credentials are found as the AWS CLI finds them.
    #[arg(long, global = true, conflicts_with = "data")]
    stack: Option<String>,
}

impl Target {
    async fn place(self) -> Result<Place> {
        match self.stack {
            Some(stack) => Place::on_aws(&stack).await,
            None => Place::here(&DataFolder::at(&self.data.folder()?).running()?.environment),
        }
    }
}

fn parse_user(text: &str) -> Result<UserId> {
    UserId::try_from(text).map_err(|violation| anyhow::anyhow!("the user {text:?}: {violation}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { data, port_base, profile, verbose } => {
            let options = Options { data: data.folder()?, ports: Ports::From(port_base), profile, ..options()? };
            up::run(&options, verbose).await?;
        }
        Command::Exec { keep, profile, command } => {
            return exec::run(Options { profile, ..options()? }, keep, &command).await;
        }
        Command::Link { data } => {
            let data = DataFolder::at(&data.folder()?);
            println!("{}", link::create(&data, &data.running()?.dashboard, &[])?);
        }
        Command::Key { target, command } => key(&target.place().await?, command).await?,
        Command::Erase { target, user, yes } => {
            let place = target.place().await?;
            if !yes {
                erase::confirm(&place, &user)?;
            }
            erase::run(&place, &user).await?;
        }
        Command::Demo { data, file } => {
            let complete = demo::run(&DataFolder::at(&data.folder()?), file.as_deref()).await?;
            return Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Alert { target, command: AlertCommand::Test } => {
            let id = alert::test(&target.place().await?).await?;
            println!("{id} is on its way; the log of send-alerts says what becomes of it");
        }
        Command::Redrive { target, list } => {
            let place = target.place().await?;
            println!("{}", if list { redrive::list(&place).await? } else { redrive::run(&place).await? });
        }
        Command::Host => return host::run().await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn key(place: &Place, command: KeyCommand) -> Result<()> {
    let table = keys::table(place)?;
    match command {
        KeyCommand::Create { name, scopes, agents, expires } => {
            let scopes: BTreeSet<_> = scopes.into_iter().collect();
            let key = keys::create(&table, keys::NewKey { name, scopes, agents, expires_at: expires }).await?;
            println!("{}", key.reveal());
        }
        KeyCommand::List => println!("{}", keys::list(&table).await?),
        KeyCommand::Revoke { key } => println!("revoked {}", keys::revoke(&table, &key).await?),
    }
    Ok(())
}

/// Returns the options that `up` and `exec` share.
fn options() -> Result<Options> {
    let root = root()?;
    Ok(Options {
        template: root.join(TEMPLATE),
        root,
        data: PathBuf::new(),
        ports: Ports::Free,
        profile: String::new(),
        processes: PROCESSES,
        program: std::env::current_exe().context("this program does not find itself")?,
        overrides: BTreeMap::new(),
    })
}

/// Returns the folder with template.yaml: the current folder or its nearest parent that has one.
fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("there is no current folder")?;
    let mut above = here.ancestors().filter(|folder| folder.join(TEMPLATE).is_file());
    let root = above.next().with_context(|| format!("there is no template.yaml in {} or above it", here.display()))?;
    Ok(root.to_owned())
}
