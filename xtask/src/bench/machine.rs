//! What the figures were measured on.

use crate::process;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One line each about the processor, memory, kernel and file system, and the date.
pub(super) fn describe(directory: &Path) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value(&cpu, "model name").unwrap_or("unknown processor");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = value(&memory, "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let memory = kib.map_or("unknown memory".to_owned(), |kib| {
        format!("{:.0} GiB of memory", kib / f64::from(1 << 20))
    });
    let output = |program: &str, argument: &str| {
        let text = process::capture(Command::new(program).arg(argument));
        text.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    vec![
        format!("{model}, {cores} cores, {memory}"),
        format!(
            "{}, trees and caches on {}",
            output("uname", "-sr"),
            super::files::file_system(directory)
        ),
        format!("measured on {}", output("date", "+%Y-%m-%d")),
    ]
}

/// The value after `name :` in a text such as /proc/cpuinfo.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2: fast\n";
        assert_eq!(value(text, "model name"), Some("Some CPU @ 2: fast"));
        assert_eq!(value(text, "MemTotal"), None);
    }
}
