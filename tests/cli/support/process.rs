//! Runs programs with a clean environment and a bounded wait.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::runtime::runtime;

/// No operation of these tests takes nearly this long: who waits longer has found a hang.
const HANG: Duration = Duration::from_secs(300);

/// A command of `program` that sees nothing of this process's environment.
pub(crate) fn clean_command(program: &Path, cwd: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(cwd).stdin(Stdio::null());
    command
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code; none when a signal ended the process.
    pub(crate) code: Option<i32>,
    /// Signal that ended the process.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The lines of stderr that say what the runtime of the program cannot keep; not in `stderr`.
    pub(crate) notices: Vec<String>,
    what: String,
}

impl Outcome {
    fn new(what: String, status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        let (stderr, notices) = runtime().take_notices(&String::from_utf8_lossy(stderr));
        Self {
            code: status.code(),
            signal: status.signal(),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr,
            notices,
            what,
        }
    }

    /// Fails the test unless the process ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}, got:\n{self}");
        self
    }

    /// Fails the test unless the process ended with one of these exit codes.
    #[track_caller]
    pub(crate) fn expect_one_of(self, codes: &[i32]) -> Self {
        assert!(
            self.code.is_some_and(|code| codes.contains(&code)),
            "expected one of the exit codes {codes:?}, got:\n{self}"
        );
        self
    }

    /// Fails the test unless stderr holds this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr should contain {text:?}:\n{self}");
        self
    }

    /// Fails the test unless stderr warns about something.
    #[track_caller]
    pub(crate) fn warns(self) -> Self {
        assert!(
            self.stderr.to_lowercase().contains("warning"),
            "stderr should have a warning:\n{self}"
        );
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "  command: {}", self.what)?;
        writeln!(out, "  code: {:?}, signal: {:?}", self.code, self.signal)?;
        writeln!(out, "  --- stdout\n{}", self.stdout)?;
        write!(out, "  --- stderr\n{}{}", self.notices.concat(), self.stderr)
    }
}

/// A process whose output is being collected.
pub(crate) struct Running {
    child: Child,
    what: String,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    early: Option<Vec<u8>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that a signal to the terminal's group spares nobody by accident.
        command.process_group(0);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        Self { child, what, stdout, stderr, early: None }
    }

    /// Waits for the process; a process that hangs is killed and fails the test.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Outcome {
        if !self.ended_within(HANG) {
            self.signal(Signal::KILL);
            panic!("killed after {HANG:?} without an end: {}", self.what);
        }
        self.reap()
    }

    /// Lets the process run for at most `delay`, then kills it as `kill -9` does.
    pub(crate) fn kill_after(mut self, delay: Duration) -> Outcome {
        if !self.ended_within(delay) {
            self.signal(Signal::KILL);
        }
        self.reap()
    }

    /// Waits until the process closed its stdout, which it does when it ends.
    fn ended_within(&mut self, limit: Duration) -> bool {
        if self.early.is_some() {
            return true;
        }
        match self.stdout.recv_timeout(limit) {
            Ok(bytes) => self.early = Some(bytes),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => self.early = Some(Vec::new()),
        }
        true
    }

    /// Whether the process has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait for a child").is_none()
    }

    /// Sends a signal, unless the process has ended (then its id may be somebody else's).
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    fn reap(mut self) -> Outcome {
        let stdout =
            self.early.take().unwrap_or_else(|| self.stdout.recv_timeout(HANG).unwrap_or_default());
        let stderr = self.stderr.recv_timeout(HANG).unwrap_or_default();
        let status = self.child.wait().expect("wait for a child");
        Outcome::new(std::mem::take(&mut self.what), status, &stdout, &stderr)
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}
