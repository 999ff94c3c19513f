//! The operator's command line.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use cli::arguments::Data;
use cli::classify::{self, ClassifyOptions};
use cli::client::ApiAccess;
use cli::data_folder::DataFolder;
use cli::demo::{self, Destination};
use cli::export::{self, ExportOptions};
use cli::import::{self, ImportOptions};
use cli::otlp::{self, Checked, SkippedCalls};
use cli::target::StackTarget;
use cli::{alert, erase, keys, rebuild, redrive};
use shared::auth::{Agents, Scope};
use shared::ids::{AgentId, UserId};

/// Operates a Signals stack: the one running on this machine, or one on AWS.
#[derive(Parser)]
#[command(name = "signals", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Manage the API keys of the running stack, or of one on AWS.
    Key {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Delete all data of a user from the running stack, or from one on AWS.
    Erase {
        #[command(flatten)]
        target: Target,
        /// The user.
        #[arg(long, value_parser = parse_user)]
        user: UserId,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Send the interactions in files to the running stack, or to one on AWS.
    ///
    /// Reads JSONL with the fields of POST /log, CSV with a header, and the logs of the FastAPI service that Signals replaces.
    /// Options name the columns of other files: signals import chats.csv --set agent_id=support --user-id customer
    /// --user-input message --timestamp sent_at.
    ///
    /// All rows are checked first. If one is invalid, nothing is sent, unless --skip-invalid is given. To check only, use
    /// --dry-run, which exits with 1 if a row is invalid.
    ///
    /// Importing a file again changes nothing: a row without an id of its own gets an id that follows from its content. After
    /// an interruption, run the same command again. Rows are then sent from about where it stopped.
    ///
    /// For a stack on AWS, SIGNALS_KEY must be an API key with the scope logs:write. docs/import.md explains everything.
    Import {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: Box<ImportOptions>,
    },
    /// Write the interactions of an agent on the running stack, or on one on AWS, to a file or a pipe.
    ///
    /// Interactions are sorted by user, and from the oldest on. What is exported can be imported again. In a CSV file, text
    /// that a spreadsheet would run as a formula begins with an apostrophe.
    ///
    /// For a stack on AWS, SIGNALS_KEY must be an API key with the scope logs:read. docs/import.md explains everything.
    Export {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: ExportOptions,
    },
    /// Check exports of OpenTelemetry.
    Otlp {
        #[command(subcommand)]
        command: OtlpCommand,
    },
    /// Classify texts on this machine, or measure a configuration against feedback before it is deployed.
    ///
    /// Prints one line of JSON per text: the fields of POST /classify, and the text. No stack is needed.
    ///
    /// With --against, reads feedback as GET /agents/{agent_id}/feedback returns it, one or more responses or one object per
    /// line. Prints the accuracy, the confusion table, and texts whose signal changes: with --config, compared with the
    /// configuration compiled in, otherwise with the signals that the feedback was given on.
    Classify {
        #[command(flatten)]
        options: ClassifyOptions,
    },
    /// Move dead-letter messages of the running stack, or of one on AWS, back to their source queues.
    Redrive {
        #[command(flatten)]
        target: Target,
        /// List the messages and leave them where they are.
        #[arg(long)]
        list: bool,
    },
    /// Count all interactions of the running stack, or of one on AWS, again.
    ///
    /// Needed after a change of what is counted, or if notifications were lost. Until the command ends, counts over all users
    /// are too low. Running it again is safe.
    RebuildActivity {
        #[command(flatten)]
        target: Target,
    },
    /// Send a test alert to every destination of the running stack, or of one on AWS.
    Alert {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Send sample data to the running stack, or to one on AWS: a week of conversations and events, or each line of a file.
    ///
    /// Prints questions that the data answers, with links and commands. A second run on the same day (UTC) changes nothing.
    ///
    /// For a stack on AWS, SIGNALS_KEY must be an API key with the scopes logs:write, logs:read and events:write.
    Demo {
        #[command(flatten)]
        target: Target,
        /// A text file whose lines become interactions. Of a .tsv file, only the first column is read.
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Create a key and print it, once.
    Create {
        /// The name of the key.
        #[arg(long)]
        name: String,
        /// The scopes of the key, separated by commas: logs:write, logs:read, events:write, events:read.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// The agents that the key may access, separated by commas, or * for all.
        #[arg(long, value_parser = keys::parse_agents)]
        agents: Agents,
        /// The day from which the key is no longer valid, such as 2027-01-01 (UTC).
        #[arg(long, value_parser = keys::parse_day)]
        expires: Option<i64>,
    },
    /// List the keys.
    List,
    /// Delete a key. Functions that have cached the key reject it within a minute.
    Revoke {
        /// The key's name, or the first digits of its hash.
        key: String,
    },
}

#[derive(Subcommand)]
enum AlertCommand {
    /// Send a test message to every destination, whatever its filter. PagerDuty opens an incident of the severity info.
    Test,
}

#[derive(Subcommand)]
enum OtlpCommand {
    /// Send one turn of a test user as an exporter does, and explain the result.
    ///
    /// Checks the address, the key, its scope, the forms in which exporters send, and whether the turn is recorded. Prints the
    /// variables to set for an application. The exit code is 1 if a check finds a problem.
    ///
    /// The turn stays: it is of the user otlp-doctor with the agent otlp-doctor. To delete it: signals erase --user otlp-doctor.
    ///
    /// For a stack on AWS, and with --url, SIGNALS_KEY must be the API key to check.
    Doctor {
        #[command(flatten)]
        target: Target,
        /// The address to check: the value of OTEL_EXPORTER_OTLP_ENDPOINT.
        #[arg(long, conflicts_with_all = ["data", "stack"])]
        url: Option<String>,
        /// The agent of the turn, if the key may access only some agents [default: otlp-doctor]
        #[arg(long, value_parser = parse_agent)]
        agent: Option<AgentId>,
    },
}

/// The stack to work on.
#[derive(Args)]
struct Target {
    #[command(flatten)]
    data: Data,
    /// The name of a CloudFormation stack on AWS. Region and credentials are found as the AWS CLI finds them.
    #[arg(long, global = true, conflicts_with = "data")]
    stack: Option<String>,
}

impl Target {
    async fn open(self) -> Result<StackTarget> {
        match self.stack {
            Some(stack) => StackTarget::on_aws(&stack).await,
            None => StackTarget::local(&DataFolder::at(&self.data.folder()?).running()?.environment),
        }
    }

    /// Returns access to the API with a key that has `scopes`, and the folder for the command's own files, if there is one.
    async fn api(self, scopes: &str) -> Result<(ApiAccess, Option<PathBuf>)> {
        match self.stack {
            Some(stack) => {
                let access = ApiAccess::on_aws(&StackTarget::on_aws(&stack).await?, scopes)?;
                Ok((access, state_folder().map(|folder| folder.join("signals/imports"))))
            }
            None => {
                let data = DataFolder::at(&self.data.folder()?);
                Ok((ApiAccess::local(&data)?, Some(data.imports())))
            }
        }
    }
}

/// Returns the stack that `otlp doctor` checks.
async fn checked(target: Target, url: Option<String>) -> Result<Checked> {
    let scopes = "the scope logs:write";
    let in_environment =
        |access, skipped_calls| Checked { access, key_expression: "$SIGNALS_KEY".to_owned(), skipped_calls };
    Ok(match (url, target.stack) {
        (Some(url), _) => in_environment(ApiAccess::at(url, scopes)?, SkippedCalls::Either),
        (None, Some(stack)) => {
            in_environment(ApiAccess::on_aws(&StackTarget::on_aws(&stack).await?, scopes)?, SkippedCalls::CloudWatch)
        }
        (None, None) => {
            let data = DataFolder::at(&target.data.folder()?);
            Checked {
                access: ApiAccess::local(&data)?,
                key_expression: format!("$(cat {})", data.api_key().display()),
                skipped_calls: SkippedCalls::Log(data.log().display().to_string()),
            }
        }
    })
}

/// Returns the user's folder for data that programs keep (XDG Base Directory Specification).
fn state_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))
}

fn parse_user(text: &str) -> Result<UserId> {
    UserId::try_from(text).map_err(|error| anyhow::anyhow!("the user {text:?}: {error}"))
}

fn parse_agent(text: &str) -> Result<AgentId> {
    AgentId::try_from(text).map_err(|error| anyhow::anyhow!("the agent {text:?}: {error}"))
}

#[tokio::main(flavor = "current_thread")]
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
        Command::Key { target, command } => key(&target.open().await?, command).await?,
        Command::Erase { target, user, yes } => {
            let target = target.open().await?;
            if !yes {
                erase::confirm(&target, &user)?;
            }
            erase::run(&target, &user).await?;
        }
        Command::Import { target, options } => {
            if options.dry_run {
                let checked = options.check()?;
                println!("{}", checked.report());
                return Ok(code(checked.is_valid()));
            }
            // Reading the files can take long.
            let (access, folder) = target.api("the scope logs:write").await?;
            let checked = options.check()?;
            return Ok(code(import::run(&options, checked, &access, folder.as_deref()).await?));
        }
        Command::Export { target, options } => {
            let (access, _) = target.api("the scope logs:read").await?;
            export::run(options, &access).await?;
        }
        Command::Otlp { command: OtlpCommand::Doctor { target, url, agent } } => {
            return Ok(code(otlp::doctor(checked(target, url).await?, agent).await?));
        }
        Command::Classify { options } => classify::run(&options)?,
        Command::Redrive { target, list } => {
            let target = target.open().await?;
            println!("{}", if list { redrive::list(&target).await? } else { redrive::run(&target).await? });
        }
        Command::RebuildActivity { target } => {
            let target = target.open().await?;
            let report = |rebuilt: rebuild::Rebuilt| eprintln!("{} objects are counted", rebuilt.objects);
            let rebuilt = rebuild::run(&target, report).await?;
            println!("{} objects are counted; {} items were replaced", rebuilt.objects, rebuilt.deleted);
        }
        Command::Alert { target, command: AlertCommand::Test } => {
            let target = target.open().await?;
            let id = alert::test(&target).await?;
            let to =
                alert::destinations(&target).map_or_else(|| "every destination".to_owned(), |names| names.join(", "));
            println!("{id} is queued for {to}; the log of send-alerts shows how each responds");
        }
        Command::Demo { target: Target { data, stack }, file } => {
            let destination = match stack {
                Some(stack) => Destination::on_aws(&StackTarget::on_aws(&stack).await?)?,
                None => Destination::local(DataFolder::at(&data.folder()?))?,
            };
            let complete = demo::run(&destination, file.as_deref()).await?;
            return Ok(code(complete));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the exit code of a command that is complete or not.
fn code(is_complete: bool) -> ExitCode {
    if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn key(target: &StackTarget, command: KeyCommand) -> Result<()> {
    let table = keys::table(target)?;
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
