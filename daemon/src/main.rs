//! `twill`: a pod network for Linux.

mod agent;
mod atomic_file;
mod backend;
mod bgp;
mod capability;
mod cli;
mod config;
mod control;
mod driver;
mod health;
mod hints;
mod inspect;
mod locks;
mod memory;
mod notify;
mod outside;
mod passed_over;
mod plugin;
mod random;
mod removal;
mod signals;
mod start;
mod state;
mod store;
mod subnet_env;
mod tenure;
mod underlay;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
