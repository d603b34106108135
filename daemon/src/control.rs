//! The control socket: a client sends one line, the name of a topic and for some
//! of them arguments in JSON, and gets a JSON document. Nothing that is set can be
//! changed through it. It can have the settings read again from where they come
//! from, and what BGP does until the daemon ends: tell routes again, end a
//! session and begin another, drain.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

mod client;
mod topic;

pub(crate) use client::ask_daemon;
pub(crate) use topic::{LONGEST_REASON, OfPeer, OfRib, Order, Side, Topic};

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) topic: Topic,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// An answer: for HTTP whether it is a good one, and the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) good: bool,
    pub(crate) text: String,
}

impl Request {
    /// Whether the answer has to tell what the kernel holds at this moment.
    pub(crate) fn wants_fresh_view(&self) -> bool {
        self.topic == Topic::Drift
    }
}

/// Asks the driver; `None` when it does not answer in time.
pub(crate) async fn ask(requests: &mpsc::Sender<Request>, topic: Topic) -> Option<Answer> {
    let (reply, answer) = oneshot::channel();
    let asking = async {
        requests.send(Request { topic, reply }).await.ok()?;
        answer.await.ok()
    };
    timeout(PATIENCE, asking).await.ok()?
}

/// Clients that are served at once; others wait.
const CLIENTS: usize = 16;
/// A client that is slower is not served.
const PATIENCE: Duration = Duration::from_secs(5);
/// A peer's name and a reason fit, also where JSON needs six octets for one.
const LONGEST_QUESTION: u64 = 4096;

/// The socket's file, removed with the daemon.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn socket_path(run_dir: &Path) -> PathBuf {
    run_dir.join("twill.sock")
}

/// Serves the control socket of this run directory, which the caller has
/// locked: a file that is there is a dead daemon's.
pub(crate) fn listen(
    run_dir: &Path,
    requests: mpsc::Sender<Request>,
) -> anyhow::Result<SocketFile> {
    let path = socket_path(run_dir);
    let bind = || -> io::Result<UnixListener> {
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o660))?;
        Ok(listener)
    };
    let listener = bind().map_err(|error| {
        anyhow::anyhow!("cannot make the control socket {}: {error}", path.display())
    })?;
    tokio::spawn(serve(listener, requests));
    Ok(SocketFile(path))
}

async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let clients = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(permit) = clients.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let requests = requests.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &requests).await {
                debug!("control socket: {error}");
            }
            drop(permit);
        });
    }
}

async fn converse(mut stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let mut question = Vec::new();
    let mut reader = tokio::io::BufReader::new((&mut stream).take(LONGEST_QUESTION));
    timeout(PATIENCE, reader.read_until(b'\n', &mut question)).await??;
    let text = match Topic::asked(&question) {
        Err(why) => error_text(&why),
        Ok(topic) => match ask(requests, topic).await {
            None => error_text("the daemon does not answer"),
            Some(answer) => answer.text,
        },
    };
    timeout(PATIENCE, stream.write_all(text.as_bytes())).await??;
    stream.shutdown().await
}

fn error_text(why: &str) -> String {
    serde_json::json!({ "error": why }).to_string()
}
