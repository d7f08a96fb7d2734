//! System programs that tests need, installed from Debian packages where possible.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// A program or another requirement, and the package that provides it.
pub(crate) struct Requirement {
    /// What the tests need, for a message.
    pub(crate) what: &'static str,
    pub(crate) package: &'static str,
    /// A command that succeeds if it is installed.
    pub(crate) probe: &'static [&'static str],
}

impl Requirement {
    fn is_met(&self) -> bool {
        let mut command = Command::new(self.probe[0]);
        command.args(&self.probe[1..]).stdin(std::process::Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    }
}

/// Installs missing packages if this is root on a system with apt-get.
///
/// # Errors
/// If something is missing and can't be installed; the message names the packages.
pub(crate) fn ensure(requirements: &[Requirement]) -> Result<()> {
    let missing = || requirements.iter().filter(|wanted| !wanted.is_met()).collect::<Vec<_>>();
    let wanted = missing();
    if !wanted.is_empty() && may_install() {
        let packages: Vec<_> = wanted.iter().map(|wanted| wanted.package).collect();
        eprintln!("xtask: installing {} for the tests", packages.join(" and "));
        install(&packages).with_context(|| advice(&wanted))?;
    }
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { bail!("{}", advice(&missing)) }
}

/// Whether system packages can be installed.
pub(crate) fn may_install() -> bool {
    let is_root =
        process::capture(Command::new("id").arg("-u")).is_ok_and(|user_id| user_id.trim() == "0");
    is_root && process::find_program("apt-get").is_some()
}

/// Installs packages.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn advice(missing: &[&Requirement]) -> String {
    let list = |part: fn(&Requirement) -> &'static str, separator: &str| {
        missing.iter().map(|wanted| part(wanted)).collect::<Vec<_>>().join(separator)
    };
    format!(
        "the tests need {}, not found; install what is missing, for example by `apt-get install \
         {}` (Node.js has to be 20 or newer), and run the command again",
        list(|wanted| wanted.what, " and "),
        list(|wanted| wanted.package, " ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Requirement =
        Requirement { what: "sh", package: "dash", probe: &["sh", "-c", ":"] };
    const MISSING: Requirement = Requirement {
        what: "the program",
        package: "btdt-no-such-package",
        probe: &["btdt-no-such-program"],
    };

    #[test]
    fn what_is_installed_is_told_from_what_is_not() {
        assert!(THERE.is_met());
        assert!(!MISSING.is_met());
        ensure(&[THERE]).unwrap();
    }

    #[test]
    fn the_advice_names_what_is_missing() {
        let text = advice(&[&MISSING, &THERE]);
        assert!(text.contains("need the program and sh, not found"), "{text}");
        assert!(text.contains("`apt-get install btdt-no-such-package dash`"), "{text}");
    }
}
