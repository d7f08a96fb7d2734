//! The command line: `cargo xtask <command>`, what each command is for, and which options it has.

use std::fmt::Write as _;

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Make the hosts' program.
    Build {
        /// With optimisation, as users run it.
        release: bool,
        /// The triple to build for, instead of this machine's.
        target: Option<String>,
    },
    /// Make only the core component and its precompiled form.
    Component {
        /// The variant that traps on purpose, besides the normal one.
        broken: bool,
        /// The triple to precompile for, instead of this machine's.
        target: Option<String>,
    },
    /// Make the components that run anywhere.
    Compose,
    /// Run the tests whose names contain one of the words, or all of them.
    Test {
        /// Handed to the test programs.
        arguments: Vec<String>,
    },
    /// Run the end-to-end tests of the command line, or some of them, on Node.js.
    TestJco {
        /// Handed to the test program.
        arguments: Vec<String>,
    },
    /// Check the style of the files.
    Tidy,
    /// Check format, lints and style.
    Lint,
    /// What a change must pass.
    Ci,
    /// Show btdt at work on a real directory.
    Demo,
    /// Measure btdt and its rivals.
    Bench {
        /// Handed to the benchmark.
        arguments: Vec<String>,
    },
    /// Explain one command, or all.
    Help(Option<&'static Help>),
}

/// What a person can read about a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Help {
    name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    details: &'static str,
}

const HELP: &[Help] = &[
    Help {
        name: "build",
        arguments: "[--release] [--target TRIPLE]",
        summary: "Build the core component and `btdt` with it inside",
        details: "\
Adds the compiler's wasm32-wasip2 target where it is missing, compiles the core component,
precompiles it to machine code and builds `btdt`, which embeds the result.

  --release          optimise; the program is target/release/btdt instead of target/debug/btdt
  --target TRIPLE    build for another target; the program is in target/TRIPLE/. The linker for
                     that target is yours to install and to name in cargo's configuration",
    },
    Help {
        name: "component",
        arguments: "[--broken] [--target TRIPLE]",
        summary: "Build only the core component, after which `cargo build` and `cargo run` work",
        details: "\
Leaves btdt-core.wasm and btdt-core.TRIPLE.cwasm in target/component/ and fails when the component
imports anything besides btdt:cache/* and wasi:*.

  --broken           also build btdt-core-broken.*, which traps on purpose, for the tests
  --target TRIPLE    precompile for another target",
    },
    Help {
        name: "compose",
        arguments: "",
        summary: "Build btdt and its server as components that run under any WASI runtime",
        details: "\
Builds the core component, the adapter, which gives it files and servers through WASI, and as front
ends `btdt` itself and a handler of wasi:http, composes each of them with the two, and leaves
btdt.wasm and btdt-server.wasm in target/component/. Fails when one imports anything besides wasi:*.
Beside them and beside btdt-core.wasm lie checksums (.sha256) and what each imports and exports
(.wit).

  wasmtime run --dir . target/component/btdt.wasm --help",
    },
    Help {
        name: "test",
        arguments: "[WORD...]",
        summary: "Run all tests, or those whose names contain one of the words",
        details: "\
Builds both variants of the core component, then runs the tests of every crate, of xtask, those of
the command line once more with btdt.wasm under wasmtime, and the style checks of `tidy`. The last line is the sum: `N passed, N failed`. Words and options go to
the test programs: `cargo xtask test restore --nocapture`.

The end-to-end tests run a real `npm ci`. Where node or npm is missing it is installed when this
runs as root on a system with apt-get.

  INSTA_UPDATE=always cargo xtask test    accepts the output of today as the expected one",
    },
    Help {
        name: "test-jco",
        arguments: "[WORD...]",
        summary: "Run the end-to-end tests of the command line with btdt.wasm on Node.js",
        details: "\
Composes btdt.wasm, installs jco from npm in target/tools/, has it make JavaScript of the component,
and runs the tests that `test` runs with the native program and under wasmtime. Every start takes
half a second there, so what tests repeat, they repeat less often; tests/README.md has the variables.
Needs node and npm.",
    },
    Help {
        name: "tidy",
        arguments: "",
        summary: "Check the rules of style that a program can check",
        details: "\
File and function length, module docs, whitespace, notes to self, paths of a particular machine,
places that may print, read the environment, sleep or look at the clock, links in Markdown files,
the lints of every crate and the changelog. CONTRIBUTING.md has the rules.",
    },
    Help {
        name: "lint",
        arguments: "",
        summary: "Check format, clippy's lints (host and guest) and style",
        details: "\
Runs `cargo fmt --check`, `tidy`, a check that no host links the wasm compiler, and clippy for
every crate, with warnings denied.",
    },
    Help {
        name: "ci",
        arguments: "",
        summary: "Everything a change must pass: `lint`, then `test`",
        details: "Run it before you hand in a change.",
    },
    Help {
        name: "demo",
        arguments: "",
        summary: "See what btdt does: cache a real directory, change it, restore it",
        details: "\
Builds btdt in release mode, gathers the sources of this project's own dependencies (thousands of
files) in target/demo/, stores them, changes a few, stores them again and restores both, checks
every byte, and shows times, sizes and what deduplication saved.",
    },
    Help {
        name: "bench",
        arguments: "[OPTION...]",
        summary: "Measure btdt against the rivals that are installed",
        details: "`cargo xtask bench --help` lists its options.",
    },
];

/// Understands the arguments after `cargo xtask`.
///
/// # Errors
/// A message for the person who typed them.
pub(crate) fn parse(arguments: &[String]) -> Result<Task, String> {
    let Some((name, rest)) = arguments.split_first() else {
        return Ok(Task::Help(None));
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        return match rest.first() {
            Some(command) => find(command).map(|help| Task::Help(Some(help))),
            None => Ok(Task::Help(None)),
        };
    }
    let help = find(name)?;
    // The benchmark has options, and therefore a help text, of its own.
    let asks_for_help = rest.iter().any(|word| word == "--help" || word == "-h");
    if asks_for_help && help.name != "bench" {
        return Ok(Task::Help(Some(help)));
    }
    match help.name {
        "build" => {
            let ([release], target) = options(help, rest, ["--release"])?;
            Ok(Task::Build { release, target })
        }
        "component" => {
            let ([broken], target) = options(help, rest, ["--broken"])?;
            Ok(Task::Component { broken, target })
        }
        "test" => Ok(Task::Test { arguments: without_separator(rest) }),
        "test-jco" => Ok(Task::TestJco { arguments: without_separator(rest) }),
        "bench" => Ok(Task::Bench { arguments: rest.to_vec() }),
        _ => without_arguments(help, rest),
    }
}

fn without_arguments(help: &Help, rest: &[String]) -> Result<Task, String> {
    if let Some(word) = rest.first() {
        return Err(unexpected(help, word));
    }
    match help.name {
        "compose" => Ok(Task::Compose),
        "tidy" => Ok(Task::Tidy),
        "lint" => Ok(Task::Lint),
        "ci" => Ok(Task::Ci),
        "demo" => Ok(Task::Demo),
        other => Err(format!("the command {other} does nothing")),
    }
}

fn find(name: &str) -> Result<&'static Help, String> {
    HELP.iter().find(|help| help.name == name).ok_or_else(|| {
        format!("there is no command `{name}`; `cargo xtask help` lists the commands")
    })
}

/// Reads the switches a command has, and `--target TRIPLE`.
fn options<const N: usize>(
    help: &Help,
    words: &[String],
    switches: [&str; N],
) -> Result<([bool; N], Option<String>), String> {
    let mut found = [false; N];
    let mut target = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(position) = switches.iter().position(|switch| switch == word) {
            found[position] = true;
        } else if word == "--target" {
            let triple = words.next().ok_or("--target needs a triple after it")?;
            target = Some(triple.clone());
        } else if let Some(triple) = word.strip_prefix("--target=") {
            target = Some(triple.to_owned());
        } else {
            return Err(unexpected(help, word));
        }
    }
    Ok((found, target))
}

fn unexpected(help: &Help, word: &str) -> String {
    let mut usage = format!("cargo xtask {} {}", help.name, help.arguments);
    usage.truncate(usage.trim_end().len());
    format!("unexpected argument `{word}`; usage: {usage}")
}

/// `test -- --nocapture` means the same as `test --nocapture`: all of it is for the test programs.
fn without_separator(words: &[String]) -> Vec<String> {
    match words.iter().position(|word| word == "--") {
        Some(position) => [&words[..position], &words[position + 1..]].concat(),
        None => words.to_vec(),
    }
}

/// The text for `cargo xtask help`, of one command or of all.
pub(crate) fn help_text(command: Option<&Help>) -> String {
    if let Some(help) = command {
        let usage = format!("cargo xtask {} {}", help.name, help.arguments);
        return format!("{}.\n\nUsage: {}\n\n{}\n", help.summary, usage.trim_end(), help.details);
    }
    let mut text = String::from(
        "Builds, tests, measures and shows btdt.\n\n\
         Usage: cargo xtask <command>\n\nCommands:\n",
    );
    for help in HELP {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {:<10} {}", help.name, help.summary);
    }
    text.push_str("\n`cargo xtask help <command>` says more about one of them.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Task, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn every_command_in_the_help_is_understood() {
        for help in HELP {
            let task = parse_line(help.name).unwrap();
            assert!(!matches!(task, Task::Help(_)), "{}", help.name);
            let text = help_text(Some(help));
            assert!(text.contains(&format!("Usage: cargo xtask {}", help.name)));
            assert!(help_text(None).contains(help.summary));
        }
    }

    #[test]
    fn build_options() {
        let build = |release, target: Option<&str>| Task::Build {
            release,
            target: target.map(str::to_owned),
        };
        assert_eq!(parse_line("build").unwrap(), build(false, None));
        assert_eq!(parse_line("build --release").unwrap(), build(true, None));
        let triple = "aarch64-unknown-linux-gnu";
        for line in ["build --target T", "build --target=T"] {
            let line = line.replace('T', triple);
            assert_eq!(parse_line(&line).unwrap(), build(false, Some(triple)));
        }
        assert!(parse_line("build --target").unwrap_err().contains("triple"));
        let message = parse_line("build --realease").unwrap_err();
        assert!(message.contains("`--realease`"), "{message}");
        assert!(message.contains("usage: cargo xtask build [--release]"), "{message}");
    }

    #[test]
    fn words_after_test_go_to_the_test_programs() {
        for line in ["test one --nocapture", "test -- one --nocapture"] {
            let arguments = vec!["one".to_owned(), "--nocapture".to_owned()];
            assert_eq!(parse_line(line).unwrap(), Task::Test { arguments });
        }
    }

    #[test]
    fn help_is_found_in_every_way_people_ask_for_it() {
        for line in ["", "help", "--help", "-h"] {
            assert_eq!(parse_line(line).unwrap(), Task::Help(None));
        }
        for line in ["help demo", "demo --help", "demo -h"] {
            assert_eq!(parse_line(line).unwrap(), Task::Help(Some(find("demo").unwrap())));
        }
        assert!(matches!(
            parse_line("bench --help").unwrap(),
            Task::Bench { arguments } if arguments == ["--help"]
        ));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(parse_line("biuld").unwrap_err().contains("no command `biuld`"));
        assert!(parse_line("help biuld").unwrap_err().contains("no command"));
        let message = parse_line("tidy now").unwrap_err();
        assert_eq!(message, "unexpected argument `now`; usage: cargo xtask tidy");
    }
}
