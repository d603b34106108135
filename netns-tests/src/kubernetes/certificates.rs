//! A cluster's authority, and what it signs.

use std::path::Path;
use std::process::Command;

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// Makes the authority, `ca.pem` and `ca.key`, and the key that service accounts' tokens are signed with,
/// `accounts.key`.
pub(super) fn authority(directory: &Path) {
    openssl(
        directory,
        &format!(
            "req -x509 {KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=cluster \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign"
        ),
    );
    openssl(
        directory,
        "ecparam -name prime256v1 -genkey -noout -out accounts.key",
    );
}

/// Makes `NAME.pem` and `NAME.key` for a subject (`/O=group/CN=user`) with an extension.
pub(super) fn sign(directory: &Path, name: &str, subject: &str, extension: &str) {
    std::fs::write(directory.join(format!("{name}.ext")), extension)
        .expect("the directory is writable");
    openssl(
        directory,
        &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj {subject}"),
    );
    openssl(
        directory,
        &format!(
            "x509 -req -in {name}.csr -out {name}.pem -CA ca.pem -CAkey ca.key -days 2 -extfile {name}.ext"
        ),
    );
}

fn openssl(directory: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let words = args.split_whitespace();
    let done = command.args(words).current_dir(directory).output();
    let done = done.expect("these tests need the program openssl");
    assert!(done.status.success(), "openssl {args}: {done:?}");
}
