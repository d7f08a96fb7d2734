//! `btdt verify`

use super::cache::{open, url};
use super::context::{Context, outcome};
use super::show::Lines;
use crate::arguments::VerifyArguments;
use crate::backend::client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::log_lines::escape;
use btdt_host_runtime::units::{show_count, show_size};

pub(crate) fn run(arguments: &VerifyArguments, context: Context<'_>) -> Result<Exit, Failure> {
    let cache = open(&arguments.cache)?;
    if let Some(url) = url(&arguments.cache.cache) {
        return Err(messages::verify_on_server(&url));
    }
    let verified = context.session().and_then(|session| session.verify(arguments.repair, cache));
    let attempt = Attempt {
        what: format!("Could not verify: {}", messages::cache_name(&arguments.cache.cache)),
        cache: &arguments.cache.cache,
    };
    let summary = outcome(verified, attempt)?;
    let mut lines = Lines::new(context.printer);
    for finding in &summary.findings {
        lines.line(&describe(finding))?;
    }
    lines.flush()?;
    let left = summary.faults - summary.findings.len() as u64;
    if left > 0 {
        context.printer.note(&format!("… and {left} more"));
    }
    if !arguments.output.quiet {
        context.printer.note(&conclude(&summary));
    }
    Ok(if summary.faults == 0 { Exit::Success } else { Exit::Error })
}

fn describe(finding: &client::Finding) -> String {
    let name = escape(&finding.name);
    let mut text = match finding.part {
        client::Part::Entry => format!("record {name}"),
        client::Part::Manifest => format!("manifest sha256:{name}"),
        client::Part::Chunk => format!("chunk sha256:{name}"),
    };
    text.push_str(&format!(": {}", escape(&finding.problem)));
    if finding.repaired {
        text.push_str("; taken out");
    }
    if finding.affected > 0 {
        let keys: Vec<String> = finding.keys.iter().map(|key| escape(key)).collect();
        text.push_str(&format!("; needed by: {}", keys.join(", ")));
        let more = finding.affected - keys.len() as u64;
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    } else if finding.part != client::Part::Entry {
        text.push_str("; needed by no entry");
    }
    text
}

fn conclude(summary: &client::VerifySummary) -> String {
    let result = match summary.faults {
        0 => "all is intact".to_owned(),
        faults => format!(
            "{}, {} cannot be restored",
            show_count(faults, "problem", "problems"),
            show_count(summary.affected, "entry", "entries")
        ),
    };
    format!(
        "Verified {}, {} and {} ({}): {result}",
        show_count(summary.entries, "record", "records"),
        show_count(summary.manifests, "manifest", "manifests"),
        show_count(summary.chunks, "chunk", "chunks"),
        show_size(summary.stored_size),
    )
}
