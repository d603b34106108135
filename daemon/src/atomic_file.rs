//! Files that readers see old or new, never half written.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes the file for all to read, and makes its directory if need be.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, content, Permissions::from_mode(0o644))
}

/// The same with other permissions.
pub(crate) fn write_with(path: &Path, content: &[u8], permissions: Permissions) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = Path::new(&temporary);
    let mut file = File::create(temporary)?;
    file.set_permissions(permissions)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
