//! What the runtime is told: text for stdout, and whether it went well.

use super::{CniError, Version};

/// The answer to one call.
#[derive(Debug)]
pub struct Reply {
    text: String,
    success: bool,
}

impl Reply {
    /// It went well, and this is to be said; most commands say nothing.
    pub(crate) fn success(text: String) -> Reply {
        Reply {
            text,
            success: true,
        }
    }

    /// It failed.
    pub(crate) fn failure(error: &CniError, version: Version) -> Reply {
        Reply {
            text: error.json(version),
            success: false,
        }
    }

    /// For stdout.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the exit code is 0.
    pub fn is_success(&self) -> bool {
        self.success
    }
}

impl From<CniError> for Reply {
    fn from(error: CniError) -> Reply {
        Reply::failure(&error, Version::LATEST)
    }
}
