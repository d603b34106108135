//! `twill-cni`: started by a container runtime for each pod that comes, goes or is looked at.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use cni::{CniError, Reply, Variables, answer};

/// A network config with its previous result is a few kilobytes.
const MOST_INPUT: u64 = 4 << 20;

fn main() -> ExitCode {
    let reply = match read_input() {
        Ok(input) => answer(&Variables::of_this_process(), &input),
        Err(source) => Reply::from(CniError::Io {
            what: "read the network config from stdin".into(),
            source,
        }),
    };
    let said = io::stdout().write_all(reply.text().as_bytes());
    if reply.is_success() && said.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    io::stdin().take(MOST_INPUT).read_to_end(&mut input)?;
    Ok(input)
}
