//! What the end-to-end tests need besides Rust: node and npm, for a real `npm ci`.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Programs the tests start, each with the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[("node", "nodejs"), ("npm", "npm")];

/// Looks for the programs and installs those that are missing, where that is possible.
///
/// # Errors
/// When some are missing and can't be installed, and `required` is set; else that is a warning.
pub(crate) fn ensure(required: bool) -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    if may_install() {
        install(&missing())?;
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let advice = advice(&missing);
    if required {
        bail!("{advice}");
    }
    eprintln!("xtask: warning: {advice}");
    Ok(())
}

fn missing() -> Vec<(&'static str, &'static str)> {
    NEEDED.iter().copied().filter(|(program, _)| process::find_program(program).is_none()).collect()
}

fn may_install() -> bool {
    let is_root =
        process::capture(Command::new("id").arg("-u")).is_ok_and(|user_id| user_id.trim() == "0");
    is_root && process::find_program("apt-get").is_some()
}

fn install(missing: &[(&str, &str)]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    eprintln!("xtask: installing {} for the tests", packages.join(" and "));
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    process::run(apt_get().arg("update"))
        .and_then(|()| {
            process::run(
                apt_get().args(["install", "-y", "--no-install-recommends"]).args(&packages),
            )
        })
        .with_context(|| advice(missing))
}

fn advice(missing: &[(&str, &str)]) -> String {
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    format!(
        "the tests need {}, not found on the path; install Node.js 20 or newer with npm, for \
         example by `apt-get install nodejs npm`, and run the command again",
        programs.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_what_is_missing() {
        assert!(advice(NEEDED).contains("node and npm"));
        assert!(advice(&NEEDED[1..]).contains("need npm,"));
    }
}
