//! The tether: a tiny watcher process that clears away a cluster when the process that asked for it is gone.
//!
//! The watcher reads a pipe whose other end only this process holds. Each line names the postmaster that runs now
//! (`-` for none). When the pipe ends, for whatever reason, the watcher kills the named postmaster, waits until it is
//! gone, and removes what the cluster put into its folder. It has a process group of its own and ignores the signals
//! of a terminal, so nothing short of `kill -9` on itself keeps it from that.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};

use crate::account::command;
use crate::home::Home;

/// How long the watcher may take to clear away.
const CLEAR_SECS_MAX: u64 = 20;

/// `$1` is the data folder, `$2` a socket folder outside it, or empty. Only names that the cluster makes are removed.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
while read -r postmaster; do last=$postmaster; done
if [ "${last:--}" != - ]; then
    kill -QUIT "$last" 2>/dev/null
    tries=0
    while kill -0 "$last" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
cd / && cd -- "$1" || exit 0
rm -rf postgres run insightdesk.lock postgres.log postgres.log.1
cd / && rmdir -- "$1"
if [ -n "$2" ]; then rm -rf -- "$2"; fi
"#;

#[derive(Debug)]
pub(crate) struct Tether {
    watcher: Child,
    pipe: ChildStdin,
}

impl Tether {
    /// Starts the watcher, as this process' own user: it must be able to remove the folder.
    pub(crate) fn tie(home: &Home) -> io::Result<Self> {
        let mut watcher = command("/bin/sh", None);
        watcher
            .args(["-c", SCRIPT, "insightdesk-tether"])
            .arg(&home.dir)
            .arg(home.outside_run().unwrap_or_else(|| "".as_ref()))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut watcher = tokio::process::Command::from(watcher).spawn()?;
        let pipe = watcher
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("the watcher has no pipe"))?;
        Ok(Self { watcher, pipe })
    }

    /// Names the postmaster that runs now.
    pub(crate) async fn name(&mut self, postmaster: Option<Pid>) {
        let line = postmaster.map_or_else(|| "-\n".to_owned(), |pid| format!("{}\n", pid.as_raw_nonzero()));
        if let Err(error) = self.pipe.write_all(line.as_bytes()).await {
            tracing::warn!(%error, "the watcher of the throwaway PostgreSQL is gone");
        }
    }

    /// Lets the watcher clear away, and waits for it.
    pub(crate) async fn release(mut self) {
        drop(self.pipe);
        let _ = tokio::time::timeout(Duration::from_secs(CLEAR_SECS_MAX), self.watcher.wait()).await;
    }
}
