//! What each command does: the pure parts decide, the edges carry out.

mod add;
mod check;
mod del;
mod gc;
mod host_local;
mod status;

use serde_json::json;

use crate::spec::{CniError, Command, Deed, Reply, Request, Variables, Version, version_text};

/// Does what the runtime asks, and says what it is to be told.
pub fn answer(variables: &Variables, input: &[u8]) -> Reply {
    let said = version_text(input).and_then(|text| Version::parse(&text));
    let version = said.unwrap_or(Version::LATEST);
    match carry_out(variables, input) {
        Ok(text) => Reply::success(text),
        Err(error) => Reply::failure(&error, version),
    }
}

fn carry_out(variables: &Variables, input: &[u8]) -> Result<String, CniError> {
    let command = Command::of(variables)?;
    if command == Command::Version {
        return Ok(versions(input));
    }
    let request = Request::read(command, variables, input)?;
    let config = &request.config;
    let done = match &request.deed {
        Deed::Add(place, wishes) => return Ok(add::add(&request, place, wishes)?.json()),
        Deed::Del(attachment) => del::del(config, attachment),
        Deed::Check(place) => check::check(config, place),
        Deed::Gc => gc::gc(config),
        Deed::Status => status::status(config),
    };
    done.map(|()| String::new())
}

/// The answer to VERSION, in whatever version it is asked.
fn versions(input: &[u8]) -> String {
    let asked = version_text(input).unwrap_or_else(|_| Version::LATEST.text().into());
    let supported = Version::ALL.map(Version::text);
    json!({ "cniVersion": asked, "supportedVersions": supported }).to_string()
}
