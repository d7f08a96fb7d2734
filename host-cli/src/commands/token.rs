//! `btdt token`

use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages;
use crate::printer::Printer;
use crate::token_arguments::{
    AttenuateArguments, InspectArguments, KeypairArguments, NewArguments, RestrictionArguments,
    TokenArguments, TokenCommand, TokenSource,
};
use btdt_host_runtime::auth::{
    Inspection, PrivateKey, Restrictions, Token, TokenFile, create_key_files, inspect, issue,
    read_public_keys,
};
use btdt_host_runtime::clock;
use btdt_host_runtime::tree::filesystem::KEEPS_MODES;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// More than the length of any token.
const MAX_INPUT: u64 = 128 * 1024;

/// The end of the year 9999; later dates have no usual text.
const LAST_DATE: u64 = 253_402_300_799;

pub(crate) fn run(arguments: &TokenArguments, printer: &Printer) -> Result<Exit, Failure> {
    match &arguments.command {
        TokenCommand::Keypair(arguments) => keypair(arguments, printer),
        TokenCommand::New(arguments) => new(arguments, printer),
        TokenCommand::Attenuate(arguments) => attenuate(arguments, printer),
        TokenCommand::Inspect(arguments) => show(arguments, printer),
    }
}

fn keypair(arguments: &KeypairArguments, printer: &Printer) -> Result<Exit, Failure> {
    let (private, public) = (arguments.private_key.as_deref(), arguments.public_key.as_deref());
    let key =
        create_key_files(private, public).map_err(|error| failure("Could not make keys", error))?;
    if private.is_none() {
        let pem = key.to_pem().unwrap_or_default();
        printer.result(pem.trim_end()).map_err(messages::output)?;
        printer.note(&format!("Public key: {}", key.public()));
    } else {
        printer.result(&key.public().to_string()).map_err(messages::output)?;
    }
    if let Some(path) = private.filter(|_| !KEEPS_MODES) {
        printer.warning(&format!(
            "this runtime cannot restrict who may read {}: do so outside of it, with chmod 600",
            path.display()
        ));
    }
    Ok(Exit::Success)
}

fn new(arguments: &NewArguments, printer: &Printer) -> Result<Exit, Failure> {
    let restrictions = restrictions(&arguments.restrictions)?;
    let what = "Could not make a token";
    let key = PrivateKey::read(&arguments.private_key).map_err(|error| failure(what, error))?;
    let token = issue(&key, &restrictions).map_err(|error| failure(what, error))?;
    printer.result(&token).map_err(messages::output)?;
    if restrictions.expires.is_none() {
        printer.warning("this token never expires; give --ttl to limit it");
    }
    Ok(Exit::Success)
}

fn attenuate(arguments: &AttenuateArguments, printer: &Printer) -> Result<Exit, Failure> {
    let restrictions = restrictions(&arguments.restrictions)?;
    if restrictions == Restrictions::default() {
        return Err(Failure::usage(
            "give at least one of --ttl, --operation, --cache and --key-prefix",
        ));
    }
    let narrowed = read(&arguments.token)?
        .restrict(&restrictions)
        .map_err(|error| failure("Could not derive a token", error))?;
    printer.result(&narrowed).map_err(messages::output)?;
    Ok(Exit::Success)
}

fn show(arguments: &InspectArguments, printer: &Printer) -> Result<Exit, Failure> {
    let what = "Could not inspect the token";
    let keys = match &arguments.public_key {
        Some(path) => Some(read_public_keys(path).map_err(|error| failure(what, error))?),
        None => None,
    };
    let token = read(&arguments.token)?;
    let inspection = inspect(&token).map_err(|error| failure(what, error))?;
    let is_signed = keys.map(|keys| token.is_signed_by(&keys));
    for line in describe(&inspection, is_signed) {
        printer.result(&line).map_err(messages::output)?;
    }
    if inspection.is_misleading {
        printer.warning(
            "a text in this token has quotes or control characters; what is shown may not be what \
             the token says",
        );
    }
    match is_signed {
        Some(false) => Err(failure(what, "it is not signed with one of the public keys given")),
        _ => Ok(Exit::Success),
    }
}

fn describe(inspection: &Inspection, is_signed: Option<bool>) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, block) in inspection.blocks.iter().enumerate() {
        let role = if number == 0 { "issued" } else { "added" };
        lines.push(format!("Block {number} ({role}):"));
        if block.datalog.is_empty() {
            lines.push("    (nothing)".to_owned());
        }
        lines.extend(block.datalog.iter().map(|line| format!("    {line}")));
        if let Some(key) = &block.signed_by {
            lines.push(format!("  Third party: {key}"));
        }
        lines.push(format!("  Revocation id: {}", block.revocation_id));
    }
    lines.push(format!("Expires: {}", inspection.expires.map_or("no date found".to_owned(), date)));
    if inspection.is_sealed {
        lines.push("Sealed: it cannot be narrowed down".to_owned());
    }
    let signature = match is_signed {
        None => "not verified, for want of --public-key",
        Some(true) => "right",
        Some(false) => "WRONG",
    };
    lines.push(format!("Signature: {signature}"));
    lines
}

fn date(seconds: u64) -> String {
    if seconds > LAST_DATE {
        return "after the year 9999".to_owned();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

fn restrictions(arguments: &RestrictionArguments) -> Result<Restrictions, Failure> {
    arguments.restrictions(clock::now()).ok_or_else(|| {
        Failure::usage("invalid value for '--ttl <AGE>': it ends after the year 9999")
    })
}

fn read(source: &TokenSource) -> Result<Token, Failure> {
    let what = "Could not read the token";
    if source.token_file != Path::new("-") {
        return TokenFile::read(&source.token_file, false).map_err(|error| failure(what, error));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| failure(what, format!("cannot read standard input: {error}")))?;
    Token::parse(&text)
        .map_err(|_| failure(what, "there is no Biscuit token in base64 on standard input"))
}

fn failure(what: &str, cause: impl ToString) -> Failure {
    Failure::new(what, vec![cause.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use std::fs;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Runs `btdt token` in words; what was printed, and the outcome.
    fn token(words: &[&str]) -> (String, Result<Exit, Failure>) {
        let words = ["btdt", "token"].iter().chain(words);
        let Command::Token(arguments) = Arguments::try_parse_from(words).unwrap().command else {
            unreachable!("that is what was asked for");
        };
        let output = Captured::default();
        let outcome = run(&arguments, &Printer::new(output.clone(), io::sink()));
        (output.text(), outcome)
    }

    #[test]
    fn from_a_key_to_a_narrow_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (private, public, file) = (path("private"), path("public"), path("token"));
        let (printed, outcome) =
            token(&["keypair", "--private-key", &private, "--public-key", &public]);
        assert_eq!(outcome, Ok(Exit::Success));
        assert!(printed.starts_with("ed25519/"), "{printed}");

        let made =
            token(&["new", "--private-key", &private, "--ttl", "90d", "--operation", "get,put"]);
        fs::write(&file, made.0).unwrap();
        let (_, refused) = token(&["inspect", "--token-file", &file]);
        assert!(refused.unwrap_err().causes[0].contains("chmod 600"), "the usual mode is too wide");
        fs::remove_file(&file).unwrap();
        private_file(
            &file,
            &token(&["new", "--private-key", &private, "--operation", "get,put"]).0,
        );

        let narrow = ["attenuate", "--token-file", &file, "--ttl", "1h", "--cache", "default"];
        let (narrowed, outcome) = token(&[&narrow[..], &["--key-prefix", "ci/"]].concat());
        assert_eq!(outcome, Ok(Exit::Success));
        let narrow_file = path("narrow");
        private_file(&narrow_file, &narrowed);
        let inspect = ["inspect", "--token-file", &narrow_file, "--public-key", &public];
        let (shown, outcome) = token(&inspect);
        assert_eq!(outcome, Ok(Exit::Success));
        for line in [
            "    check if operation(\"get\") or operation(\"put\");",
            "    check if cache(\"default\");",
            "    check if key($key), $key.starts_with(\"ci/\");",
            "Signature: right",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }

        let other = path("other");
        token(&["keypair", "--private-key", &path("p"), "--public-key", &other]).1.unwrap();
        let (shown, outcome) =
            token(&["inspect", "--token-file", &narrow_file, "--public-key", &other]);
        assert!(shown.contains("Signature: WRONG"), "{shown}");
        assert_eq!(outcome.unwrap_err().exit, Exit::Error);
    }

    fn private_file(path: &str, text: &str) {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_printed_private_key_can_be_used() {
        let (printed, outcome) = token(&["keypair"]);
        assert_eq!(outcome, Ok(Exit::Success));
        assert!(PrivateKey::from_pem(&printed).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let key = key.to_str().unwrap();
        token(&["keypair", "--private-key", key]).1.unwrap();
        let (_, outcome) = token(&["new", "--private-key", key, "--ttl", "9000years"]);
        assert_eq!(outcome.unwrap_err().exit, Exit::Usage);
        let (_, outcome) = token(&["attenuate"]);
        assert_eq!(outcome.unwrap_err().exit, Exit::Usage);
        let (_, outcome) = token(&["keypair", "--private-key", key]);
        assert!(outcome.unwrap_err().causes[0].contains("exists"), "nothing is replaced");
        let wrong = ["btdt", "token", "new", "--private-key", key, "--operation", "fly"];
        assert!(Arguments::try_parse_from(wrong).is_err());
    }

    #[test]
    fn dates_that_have_no_text() {
        assert_eq!(date(LAST_DATE), "9999-12-31T23:59:59Z");
        assert_eq!(date(u64::MAX), "after the year 9999");
    }
}
