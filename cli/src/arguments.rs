//! Command-line arguments that `signals` and the local stack share.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

/// The file that defines the stack.
pub const TEMPLATE: &str = "template.yaml";

/// The option for the data folder of a local stack.
#[derive(Args, Debug)]
pub struct Data {
    /// The folder of the local stack's data [default: .local beside template.yaml]
    #[arg(long, global = true)]
    data: Option<PathBuf>,
}

impl Data {
    /// Returns the absolute path of the data folder.
    ///
    /// # Errors
    /// Fails if the option is not set and there is no template.
    pub fn folder(self) -> Result<PathBuf> {
        let folder = match self.data {
            Some(folder) => folder,
            None => root()?.join(".local"),
        };
        std::path::absolute(&folder).with_context(|| format!("{} is not a valid path", folder.display()))
    }
}

/// Returns the folder with template.yaml: the current folder or its nearest parent that has one.
///
/// # Errors
/// Fails if there is no such folder.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot read the current folder")?;
    let mut above = here.ancestors().filter(|folder| folder.join(TEMPLATE).is_file());
    let root = above.next().with_context(|| {
        format!("found no template.yaml in {} or above: run this in the project's folder", here.display())
    })?;
    Ok(root.to_owned())
}
