//! The CNI specification 1.1: what a runtime says and what it is told. Pure.

mod config;
mod error;
mod reply;
mod request;
mod result;
mod variables;
mod version;

pub(crate) use config::{Config, ValidAttachment};
pub use error::CniError;
pub use reply::Reply;
pub use request::Request;
pub(crate) use request::{Command, Deed, Place, Wishes, version_text};
pub(crate) use result::{Interface, Ip, PodResult, Route};
pub use variables::Variables;
pub(crate) use version::Version;
