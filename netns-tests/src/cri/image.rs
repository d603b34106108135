//! The one image that pods are made of here: a program that waits, and links that fit the node's own `/usr`.

use lab::{LabError, Namespace, output};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its name.
pub(super) const IMAGE: &str = "localhost/pause:1";

const PAUSE: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

/// Builds it as an archive that containerd imports, without a registry.
///
/// # Panics
///
/// When the directory cannot be written.
pub(super) fn build(inside: &Namespace, directory: &Path) -> Result<PathBuf, LabError> {
    let root = directory.join("image");
    let made = std::fs::create_dir_all(&root)
        .and_then(|()| std::fs::write(directory.join("pause.c"), PAUSE))
        .and_then(|()| {
            ["bin", "lib", "lib64", "sbin"].iter().try_for_each(|name| {
                std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name))
            })
        });
    made.expect("the directory is writable");
    let run = |program: &str, words: &[&str]| {
        let mut command: Command = inside.command(program);
        output(inside, command.current_dir(directory).args(words))
    };
    run("gcc", &["-static", "-Os", "-o", "image/pause", "pause.c"])?;
    run("tar", &["-C", "image", "-cf", "layer.tar", "."])?;
    let sum = run("sha256sum", &["layer.tar"])?;
    let digest = sum.split_whitespace().next().unwrap_or_default();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    for (name, content) in [("config.json", config), ("manifest.json", manifest)] {
        std::fs::write(directory.join(name), content.to_string())
            .expect("the directory is writable");
    }
    run(
        "tar",
        &[
            "-cf",
            "image.tar",
            "manifest.json",
            "config.json",
            "layer.tar",
        ],
    )?;
    Ok(directory.join("image.tar"))
}
