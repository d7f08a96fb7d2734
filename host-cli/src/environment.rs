//! Clock, randomness and messages for the core.

use crate::printer::Printer;
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
