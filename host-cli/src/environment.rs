//! Clock, randomness and messages for the core.

use crate::printer::Printer;
use btdt_host_runtime::clock;
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
        let mut bytes = [0; 8];
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(8) => u64::from_ne_bytes(bytes),
            // Only a kernel from before 2014 gets here. Names stay unique by time and process.
            _ => {
                let now = clock::now();
                let process = u64::from(std::process::id());
                process << 32 ^ now.seconds.unsigned_abs() ^ u64::from(now.nanoseconds) << 2
            }
        }
    }

    fn log(&self, severity: Severity, message: &str) {
        match severity {
            Severity::Debug => {}
            Severity::Warning => self.printer.warning(message),
            Severity::Error => self.printer.defect(message),
        }
    }
}
