//! Measuring one command as a whole process.
//!
//! Linux counts into a process's peak memory what its parent had resident at the moment of the
//! fork. So the command is not started by this program, which holds trees and results, but by a
//! fresh copy of it that does nothing else ([`serve`]).

use anyhow::{Context, Result, anyhow, bail};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of `bench` that makes this program the starter of one command.
pub(super) const SERVE: &str = "__measure";

/// A command line with all that it depends on.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) directory: Option<PathBuf>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Invocation {
    pub(super) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            directory: None,
            environment: Vec::new(),
        }
    }

    pub(super) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn args<T: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(super) fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_path_buf());
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The same thing as a command to be run without being measured.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        self.set_surroundings(&mut command);
        command
    }

    fn set_surroundings(&self, command: &mut Command) {
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
    }
}

/// What one run of a command used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// From just before the start to the end of the process.
    pub(super) wall: Duration,
    /// User and system time of the process and of its children that it waited for.
    pub(super) cpu: Duration,
    /// The largest resident set, in bytes, of the process or of one of its children; not their sum.
    pub(super) peak: u64,
}

/// Runs a command and measures it. `notes` is a directory for the files that this takes.
///
/// # Errors
/// When the command can't be started or fails; the message has the end of what it wrote to its
/// standard error.
pub(super) fn measure(invocation: &Invocation, notes: &Path) -> Result<Usage> {
    let report = notes.join("usage");
    let errors = notes.join("stderr");
    let mut command = Command::new(env::current_exe().context("this program has no path")?);
    command
        .args(["bench", SERVE])
        .arg(&report)
        .arg(&invocation.program)
        .args(&invocation.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors).context("could not write beside the trees")?);
    invocation.set_surroundings(&mut command);
    let status = command.status().context("could not start this program")?;
    if !status.success() {
        let text = fs::read(&errors).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let end: Vec<&str> = text.lines().rev().take(5).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        let command = crate::process::display(&invocation.command());
        return Err(anyhow!("{status}: {}", end.join(" / ")))
            .with_context(|| format!("failed: {command}"));
    }
    let text = fs::read_to_string(&report).context("the starter left no report")?;
    parse_report(&text).context("the starter's report makes no sense")
}

/// The starter: runs one command, writes what it used into a file and ends as the command did.
///
/// # Errors
/// When the command can't be started or the report can't be written.
pub(super) fn serve(arguments: &[String]) -> Result<()> {
    let [report, program, arguments @ ..] = arguments else {
        bail!("{SERVE} takes a report file and a command");
    };
    let begin = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("could not start {program}"))?;
    let (status, usage) = wait(child.id())?;
    let wall = begin.elapsed();
    if !(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0) {
        std::process::exit(if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            128 + libc::WTERMSIG(status)
        });
    }
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit;
    let text = format!("{} {} {peak}\n", wall.as_nanos(), cpu.as_nanos());
    fs::write(report, text).context("could not write the report")
}

fn wait(process: u32) -> Result<(libc::c_int, libc::rusage)> {
    let process = libc::pid_t::try_from(process).context("a process number out of range")?;
    let mut status = 0;
    // SAFETY: a rusage is plain numbers, for which all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live local variables of the types that the call writes.
        let ended = unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) };
        if ended == process {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("could not wait for the command");
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

fn parse_report(text: &str) -> Option<Usage> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some(Usage {
        wall: Duration::from_nanos(next()?),
        cpu: Duration::from_nanos(next()?),
        peak: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_is_written() {
        let usage = parse_report("1500000000 250000000 4096\n").unwrap();
        assert_eq!(usage.wall, Duration::from_millis(1500));
        assert_eq!(usage.cpu, Duration::from_millis(250));
        assert_eq!(usage.peak, 4096);
        assert_eq!(parse_report("1 2"), None);
        assert_eq!(parse_report("1 2 x"), None);
    }

    #[test]
    fn the_starter_needs_a_command() {
        assert!(serve(&["report".to_owned()]).is_err());
    }
}
