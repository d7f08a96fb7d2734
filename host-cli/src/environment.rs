//! Clock, random numbers and messages for the core, and the proxies for reaching servers.

use crate::printer::Printer;
use btdt_host_runtime::http_native::Proxies;
use btdt_host_runtime::{clock, random};
use btdt_ports::{Environment, Severity, Timestamp};

/// The environment of a process.
pub(crate) struct SystemEnvironment {
    printer: Printer,
}

impl SystemEnvironment {
    pub(crate) fn new(printer: Printer) -> Self {
        SystemEnvironment { printer }
    }
}

impl Environment for SystemEnvironment {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn random(&self) -> u64 {
        random::random()
    }

    fn log(&self, severity: Severity, message: &str) {
        self.printer.log(severity, message);
    }
}

/// The proxies named in the environment.
#[allow(clippy::disallowed_methods, reason = "the only place that reads variables")]
pub(crate) fn proxies() -> Proxies {
    // What is not text is not a URL either, and is refused when it is used.
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    Proxies::of_environment(|name| std::env::var_os(name).map(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Not a test of its own: [`proxies_of_the_process`] runs it in a process that has some.
    #[test]
    #[ignore = "needs an environment that another test makes"]
    fn in_an_environment() {
        let Proxies { http, https, no } = proxies();
        println!("<{http}> <{https}> <{no}>");
    }

    #[test]
    fn proxies_of_the_process() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "environment::tests::in_an_environment", "--ignored", "--nocapture"])
            .env_clear()
            .envs([("HTTP_PROXY", "a:1"), ("all_proxy", "b:2"), ("no_proxy", "c, d")])
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.contains("<a:1> <b:2> <c, d>"), "{output}");
    }
}
