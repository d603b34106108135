//! Certificates of a test's own.

use std::path::Path;
use std::process::Command;

/// Makes an authority, and with it a server's and a client's certificate for `address`, as files that an etcd with TLS
/// takes; what is there already is replaced.
pub(crate) fn make(directory: &Path, address: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let authority = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign";
    openssl(
        directory,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca {authority}"),
    );
    for (name, usage) in [
        ("server", "serverAuth,clientAuth"),
        ("client", "clientAuth"),
    ] {
        let extensions = format!("subjectAltName=IP:{address}\nextendedKeyUsage={usage}\n");
        std::fs::write(directory.join(format!("{name}.ext")), extensions).unwrap();
        openssl(
            directory,
            &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        let signed =
            format!("-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext");
        openssl(
            directory,
            &format!("x509 -req -in {name}.csr -out {name}.pem {signed}"),
        );
    }
}

fn openssl(directory: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let done = command
        .args(args.split(' '))
        .current_dir(directory)
        .output();
    let done = done.expect("these tests need the program openssl");
    assert!(done.status.success(), "openssl {args}: {done:?}");
}
