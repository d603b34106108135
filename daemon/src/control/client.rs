//! The client's side of the control socket.

use std::fmt::Display;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{PATIENCE, Topic, socket_path};

/// Asks the daemon with this run directory; `None` when none runs. One that ends while it is asked leaves the answer to the
/// next one, if there is one.
pub(crate) fn ask_daemon(run_dir: &Path, topic: &Topic) -> anyhow::Result<Option<String>> {
    let path = socket_path(run_dir);
    let cannot =
        |why: &dyn Display| anyhow::anyhow!("cannot ask the daemon at {}: {why}", path.display());
    for _ in 0..2 {
        match ask_once(&path, topic).map_err(|error| cannot(&error))? {
            Asked::NoDaemon => return Ok(None),
            Asked::Text(text) => return answer(text).map(Some),
            Asked::Lost => {}
        }
    }
    Err(cannot(&"it hung up, twice, before it answered"))
}

/// The answer, unless it is that there is none.
fn answer(text: String) -> anyhow::Result<String> {
    if let Some(why) = serde_json::from_str::<serde_json::Value>(&text)?.get("error") {
        anyhow::bail!("the daemon says: {}", why.as_str().unwrap_or_default());
    }
    Ok(text)
}

enum Asked {
    NoDaemon,
    /// The daemon hung up before it answered.
    Lost,
    Text(String),
}

fn ask_once(path: &Path, topic: &Topic) -> io::Result<Asked> {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => {
            return Ok(Asked::NoDaemon);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    let mut text = String::new();
    let talk = writeln!(stream, "{}", topic.line())
        .and_then(|()| BufReader::new(stream).read_to_string(&mut text));
    match talk {
        Ok(_) if text.is_empty() => Ok(Asked::Lost),
        Ok(_) => Ok(Asked::Text(text)),
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(Asked::Lost),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Asks a daemon that gives these answers, one for each connection, and then ends.
    fn ask(answers: &[&str]) -> anyhow::Result<Option<String>> {
        let directory = tempfile::tempdir()?;
        let mut listener = Some(UnixListener::bind(socket_path(directory.path()))?);
        thread::scope(|scope| {
            scope.spawn(move || {
                for (number, answer) in answers.iter().enumerate() {
                    let accepted = listener.as_ref().map(UnixListener::accept);
                    let (mut stream, _) = accepted.expect("not the last").expect("a client");
                    let mut question = String::new();
                    let mut reader = BufReader::new(&stream);
                    reader.read_line(&mut question).expect("a question");
                    // As when a process is killed: the listener goes first.
                    listener = listener.filter(|_| number + 1 < answers.len());
                    let said = stream.write_all(answer.as_bytes());
                    said.expect("the client is there");
                }
            });
            ask_daemon(directory.path(), &Topic::Status)
        })
    }

    #[test]
    fn a_daemon_that_ends_while_it_is_asked_is_none_that_runs() {
        assert_eq!(ask(&[""]).expect("no error"), None);
    }

    #[test]
    fn the_next_daemon_answers_for_one_that_ended_while_it_was_asked() {
        assert_eq!(ask(&["", "{}"]).expect("no error"), Some("{}".to_owned()));
        let lost = ask(&["", ""]).expect_err("nobody answered").to_string();
        assert!(lost.contains("hung up, twice"), "{lost}");
    }
}
