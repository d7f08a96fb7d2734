//! Runs other programs. Every error names the command line that failed.

use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a command with this process's standard streams and waits for it.
///
/// # Errors
/// If the program can't be started or fails; the message has the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("could not start: {}", display(command)))?;
    if !status.success() {
        bail!("failed ({status}): {}", display(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; its standard error is shown.
///
/// # Errors
/// As for [`run`], or if the output is not UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start: {}", display(command)))?;
    if !output.status.success() {
        bail!("failed ({}): {}", output.status, display(command));
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("output is not UTF-8: {}", display(command)))
}

/// Runs a command, passes each line of its standard output to `on_line` as it appears, and returns
/// whether the command succeeded.
///
/// # Errors
/// If the program can't be started or its output can't be read, but not if it fails.
pub(crate) fn stream_lines(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start: {}", display(command)))?;
    let stdout = child.stdout.take().context("the child's output is gone")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("could not read from: {}", display(command)))?;
        on_line(&String::from_utf8_lossy(&line));
    }
    let status =
        child.wait().with_context(|| format!("could not wait for: {}", display(command)))?;
    Ok(status.success())
}

/// The path of a program in `PATH`, or `None`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
        .find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The command as you would type it into a shell.
pub(crate) fn display(command: &Command) -> String {
    let mut line = quote(command.get_program());
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quote(argument));
    }
    line
}

/// A word as one would type it into a shell.
pub(crate) fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_=+:,./@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_in_the_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let message = run(&mut command).unwrap_err().to_string();
        assert!(message.contains("sh -c 'exit 3'"), "{message}");
        assert!(message.contains('3'), "{message}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named_in_the_error() {
        let message = run(&mut Command::new("btdt-no-such-program")).unwrap_err();
        assert!(format!("{message:#}").contains("btdt-no-such-program"));
        assert_eq!(find_program("btdt-no-such-program"), None);
    }

    #[test]
    fn capture_returns_standard_output() {
        let text = capture(Command::new("sh").args(["-c", "echo one; echo two"])).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn lines_are_streamed_and_failure_is_a_value() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo a; echo b; exit 1"]);
        let success = stream_lines(&mut command, |line| lines.push(line.to_owned())).unwrap();
        assert!(!success);
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn words_with_special_characters_are_quoted() {
        let mut command = Command::new("echo");
        command.args(["a b", "it's", "", "--x=y"]);
        assert_eq!(display(&command), r"echo 'a b' 'it'\''s' '' --x=y");
    }
}
