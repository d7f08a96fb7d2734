//! Measuring one command as a whole process: `hyperfine` takes the times, GNU `time` the peak memory.
//!
//! Each run is a call of `hyperfine` of its own, so that the commands of a row can alternate and
//! each can have a fresh cache and destination.

use super::contestants::ENVIRONMENT;
use super::sample::Sample;
use super::scratch::Scratch;
use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Fails when a tool that measures is missing.
pub(super) fn require_tools() -> Result<()> {
    for tool in ["hyperfine", "time"] {
        if process::find_program(tool).is_none() {
            bail!("the benchmark needs {tool}, for example by `apt-get install {tool}`");
        }
    }
    Ok(())
}

/// A shell line made from a template: each `{name}` becomes the quoted value.
pub(super) fn shell_line(template: &str, values: &[(&str, &Path)]) -> String {
    let mut line = template.to_owned();
    for (name, value) in values {
        line = line.replace(&format!("{{{name}}}"), &process::quote(value.as_os_str()));
    }
    line
}

/// Runs a line without measuring it.
pub(super) fn run(line: &str) -> Result<()> {
    process::run(Command::new("sh").args(["-c", line]).envs(ENVIRONMENT.iter().copied()))
}

/// Runs a line and measures it. If it fails, the error has the end of its standard error.
pub(super) fn measure(line: &str, scratch: &Scratch) -> Result<Sample> {
    let peak = scratch.path("peak");
    let timed = format!("time -f %M -o {} {}", process::quote(peak.as_os_str()), direct(line));
    let times = hyperfine(&timed, 1, scratch)?;
    let text = fs::read_to_string(&peak).context("GNU time left no report")?;
    let kib: f64 = text.trim().parse().with_context(|| format!("GNU time said {text:?}"))?;
    Ok(Sample { peak: Some(kib * 1024.0), ..times })
}

/// Runs a line of a few milliseconds so many times, with nothing between `hyperfine` and it, and
/// gives the median.
pub(super) fn measure_short(line: &str, runs: usize, scratch: &Scratch) -> Result<Sample> {
    hyperfine(&direct(line), runs, scratch)
}

/// The line as one command: a shell runs only what needs one.
fn direct(line: &str) -> String {
    if line.contains(['|', '&']) {
        format!("sh -c {}", process::quote(line.as_ref()))
    } else {
        line.to_owned()
    }
}

fn hyperfine(command: &str, runs: usize, scratch: &Scratch) -> Result<Sample> {
    scratch.settle()?;
    let export = scratch.path("times.json");
    let output = Command::new("hyperfine")
        .args(["--shell=none", "--style=none", "--output=inherit", "--runs"])
        .arg(runs.to_string())
        .arg("--export-json")
        .arg(&export)
        .arg(command)
        .envs(ENVIRONMENT.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .context("could not start hyperfine")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        bail!("`{command}` failed: {}", lines[lines.len().saturating_sub(5)..].join(" / "));
    }
    let text = fs::read_to_string(&export).context("hyperfine left no report")?;
    parse(&text).context("hyperfine's report is not as expected")
}

fn parse(report: &str) -> Option<Sample> {
    let report: Value = serde_json::from_str(report).ok()?;
    let seconds = |name: &str| report["results"][0][name].as_f64();
    let cpu = seconds("user")? + seconds("system")?;
    Some(Sample { wall: seconds("median")?, cpu, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_only_scripts_need_a_shell() {
        let values = [("tree", Path::new("/a b")), ("cache", Path::new("/c"))];
        let line = shell_line("cp {tree}/x {cache}", &values);
        assert_eq!(line, "cp '/a b'/x /c");
        assert_eq!(direct(&line), line);
        assert_eq!(direct("a | b"), "sh -c 'a | b'");
    }

    #[test]
    fn reports_are_read() {
        let report = r#"{"results": [{"median": 1.5, "user": 0.25, "system": 0.5}]}"#;
        let sample = parse(report).unwrap();
        assert_eq!((sample.wall, sample.cpu), (1.5, 0.75));
        assert!(parse("{}").is_none());
    }
}
