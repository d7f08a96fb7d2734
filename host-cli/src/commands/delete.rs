//! `btdt delete`

use super::cache::open;
use super::context::{Context, outcome};
use super::show::Lines;
use crate::arguments::DeleteArguments;
use crate::backend::client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::messages::{self, Attempt};
use btdt_host_runtime::log_lines::escape;

pub(crate) fn run(arguments: &DeleteArguments, context: Context<'_>) -> Result<Exit, Failure> {
    if arguments.prefix.as_deref() == Some("") {
        return Err(messages::empty_prefix());
    }
    let cache = open(&arguments.cache)?;
    let attempt = || Attempt {
        what: format!("Could not delete from: {}", messages::cache_name(&arguments.cache.cache)),
        cache: &arguments.cache.cache,
    };
    let mut session = context.session().map_err(|stopped| attempt().stopped(&stopped))?;
    let mut request = client::DeleteRequest {
        keys: arguments.keys.clone(),
        prefix: arguments.prefix.clone(),
        after: None,
    };
    let mut deleted = 0;
    loop {
        let page = outcome(session.delete(&request, &cache), attempt())?;
        let mut lines = Lines::new(context.printer);
        for key in &page.deleted {
            lines.line(&format!("Deleted key {}", escape(key)))?;
        }
        lines.flush()?;
        deleted += page.deleted.len();
        for key in &page.missing {
            context.printer.note(&format!("Key not found in cache: {key}"));
        }
        if let Some(error) = page.failure {
            return Err(attempt().failed(error));
        }
        request.after = page.next;
        if request.after.is_none() {
            break;
        }
    }
    if deleted == 0 && arguments.prefix.is_some() {
        context.printer.note("Keys not found in cache.");
    }
    Ok(if deleted == 0 { Exit::NotFound } else { Exit::Success })
}
