//! Rules about calls that belong in one place: printing, the environment, the clock, sleeping.

use super::Finding;
use super::files::SourceFile;

/// Calls that only some files may make.
struct Ban {
    /// What the masked code must not contain.
    calls: &'static [&'static str],
    /// Files, or directories with a `/` at the end, for which the rule is not.
    except: &'static [&'static str],
    /// Whether tests may.
    except_tests: bool,
    /// Where such a thing belongs.
    advice: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        calls: &["println!", "eprintln!", "print!", "eprint!"],
        except: &["host-cli/src/printer.rs", "xtask/"],
        except_tests: true,
        advice: "only host-cli/src/printer.rs prints",
    },
    Ban {
        calls: &["env::var", "env::args"],
        except: &[
            // A component has no `main` of its own: its host calls it for each request.
            "core-wasm/handler/src/component/setup.rs",
            "host-cli/src/main.rs",
            "host-cli/src/environment.rs",
            "host-server/src/main.rs",
            "xtask/",
        ],
        except_tests: true,
        advice: "only a program's main.rs, and host-cli's environment.rs, read arguments and \
                 environment",
    },
    Ban {
        calls: &["SystemTime::now", "Instant::now"],
        // The second one stands in for a library that asks a browser for the time.
        except: &["host-runtime/src/clock.rs", "host-runtime/wasm-clock/", "xtask/"],
        except_tests: true,
        advice: "clocks are handed in; only host-runtime/src/clock.rs looks at the machine's",
    },
    Ban {
        calls: &["thread::sleep"],
        except: &["xtask/src/bench/"],
        except_tests: false,
        advice: "wait for the event itself; a time that is right here is wrong elsewhere",
    },
];

/// Calls stay where they belong.
pub(super) fn banned_calls(file: &SourceFile) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let first_test_line = file.first_test_line();
    let mut findings = Vec::new();
    for ban in BANS.iter().filter(|ban| !ban.excepts(&file.path)) {
        let last_line = if ban.except_tests { first_test_line - 1 } else { usize::MAX };
        for (index, line) in file.code.lines().take(last_line).enumerate() {
            if has_call(line, ban.calls) {
                findings.push(Finding::new(file, index + 1, ban.advice));
            }
        }
    }
    findings
}

impl Ban {
    fn excepts(&self, path: &str) -> bool {
        // Build scripts talk to cargo through the environment and standard output.
        let is_build_script = path.rsplit('/').next() == Some("build.rs");
        let matches = |exception: &&str| {
            path == *exception || (exception.ends_with('/') && path.starts_with(exception))
        };
        (is_build_script && self.except_tests) || self.except.iter().any(matches)
    }
}

/// Whether a line of masked code has one of the calls as a whole word.
fn has_call(line: &str, calls: &[&str]) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    calls
        .iter()
        .any(|call| line.match_indices(call).any(|(start, _)| !line[..start].ends_with(word)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines_found;
    use super::*;

    const NONE: &[usize] = &[];

    fn found(path: &str, text: &str) -> Vec<usize> {
        lines_found(banned_calls, path, text)
    }

    #[test]
    fn printing() {
        for call in ["println!", "eprintln!", "print!", "eprint!"] {
            let text = format!("fn f() {{\n    {call}(\"x\");\n}}\n");
            assert_eq!(found("host-cli/src/store.rs", &text), [2], "{call}");
            assert_eq!(found("host-cli/src/printer.rs", &text), NONE);
            assert_eq!(found("xtask/src/main.rs", &text), NONE);
            assert_eq!(found("host-runtime/build.rs", &text), NONE);
            assert_eq!(found("tests/cli/main.rs", &text), NONE);
        }
        assert_eq!(found("a/src/lib.rs", "my_print!(x);\n"), NONE);
        assert_eq!(found("a/src/lib.rs", "// println!(x)\nf(\"print!\");\n"), NONE);
    }

    #[test]
    fn environment() {
        for call in ["std::env::var(x)", "env::var_os(x)", "env::vars()", "env::args()"] {
            assert_eq!(found("host-runtime/src/lib.rs", call), [1], "{call}");
            assert_eq!(found("host-cli/src/environment.rs", call), NONE);
        }
        assert_eq!(found("a/src/lib.rs", "env!(x)\n"), NONE);
    }

    #[test]
    fn clocks() {
        let text = "fn f() {\n    SystemTime::now();\n    std::time::Instant::now();\n}\n";
        assert_eq!(found("core-wasm/src/lib.rs", text), [2, 3]);
        assert_eq!(found("host-runtime/src/clock.rs", text), NONE);
    }

    #[test]
    fn sleeping_is_not_for_tests_either() {
        let text = "#[cfg(test)]\nmod tests {\n    std::thread::sleep(x);\n}\n";
        assert_eq!(found("core-wasm/src/lib.rs", text), [3]);
        assert_eq!(found("tests/cli/main.rs", text), [3]);
        assert_eq!(found("xtask/src/bench/mod.rs", text), NONE);
        let printing = text.replace("std::thread::sleep", "println!");
        assert_eq!(found("core-wasm/src/lib.rs", &printing), NONE);
    }
}
