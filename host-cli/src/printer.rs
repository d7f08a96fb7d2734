//! All output: nothing else prints.
//!
//! A closed pipe is not an error: its reader does not want the rest.

use crate::exit::Exit;
use crate::failure::Failure;
use btdt_host_runtime::log_lines::{self, escape};
use btdt_ports::Severity;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Where output goes.
#[derive(Clone)]
pub struct Printer {
    output: Arc<Mutex<dyn Write + Send>>,
    messages: Arc<Mutex<dyn Write + Send>>,
}

impl Printer {
    /// Standard output and standard error.
    #[must_use]
    pub fn standard() -> Self {
        Printer::new(io::stdout(), io::stderr())
    }

    /// Results go to `output`, everything else to `messages`.
    pub fn new(output: impl Write + Send + 'static, messages: impl Write + Send + 'static) -> Self {
        Printer { output: Arc::new(Mutex::new(output)), messages: Arc::new(Mutex::new(messages)) }
    }

    /// Prints a line of the result.
    pub fn result(&self, line: &str) -> io::Result<()> {
        try_to_write(&self.output, &format!("{line}\n"))
    }

    /// Prints a line about what was done.
    pub fn note(&self, line: &str) {
        write(&self.messages, &format!("{}\n", escape(line)));
    }

    /// Prints a warning.
    pub fn warning(&self, line: &str) {
        write(&self.messages, &format!("{}\n", log_lines::warning(line)));
    }

    /// Prints a message of the core, unless it is not for users.
    pub fn log(&self, severity: Severity, message: &str) {
        if let Some(line) = log_lines::line(severity, message) {
            write(&self.messages, &format!("{line}\n"));
        }
    }

    /// Prints an error with its causes, outermost first, and the hint.
    pub fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::Usage {
            let text = format!("error: {}\n\nFor more information, try '--help'.\n", failure.what);
            return write(&self.messages, &text);
        }
        let mut text = format!("Error: {}\n", escape(&failure.what));
        if !failure.causes.is_empty() {
            text.push_str("\nCaused by:\n");
        }
        for (number, cause) in failure.causes.iter().enumerate() {
            let cause = escape(cause);
            // Writing to a string cannot fail.
            let _ = match failure.causes.len() {
                1 => writeln!(text, "    {cause}"),
                _ => writeln!(text, "    {number}: {cause}"),
            };
        }
        if let Some(hint) = &failure.hint {
            let _ = write!(text, "\nHint: {}\n", escape(hint));
        }
        write(&self.messages, &text);
    }

    /// Prints the output of the argument parser: help and version are results, the rest are errors.
    #[must_use]
    pub fn usage(&self, error: &clap::Error) -> Exit {
        let text = error.render().to_string();
        if error.use_stderr() {
            write(&self.messages, &text);
            Exit::Usage
        } else {
            write(&self.output, &text);
            Exit::Success
        }
    }
}

fn write(to: &Mutex<dyn Write + Send>, text: &str) {
    // There is nowhere to report that messages cannot be written.
    let _ = try_to_write(to, text);
}

fn try_to_write(to: &Mutex<dyn Write + Send>, text: &str) -> io::Result<()> {
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    let written = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}
