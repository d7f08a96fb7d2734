//! Requests for administration: list, show and delete entries.

use super::access::{self, Findings};
use super::answer::{Answer, Body, Response};
use super::context::{Decision, ServerContext};
use super::problem::Problem;
use super::request::Request;
use super::trace::Trace;
use super::url::{self, Parameters, decode};
use crate::cache::warn_unusable;
use crate::key::{Key, Prefix};
use crate::protocol::{DescribedEntry, DescribedPage, NO_ENTRY};
use crate::storage::delete::{Deleted, delete};
use crate::storage::record_lookup::{self, Entry, EntryFault};
use btdt_ports::client::Error;
use btdt_ports::{Archives, Authority, Caches, Objects, Operation, Records, Severity, Verdict};

/// Entries on a page by default.
pub const DEFAULT_PAGE: usize = 1000;

/// Most entries on a page.
pub const MAX_PAGE: usize = 10_000;

/// A page of so many bytes gets no further entry: labels can be long.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// Records to read, and keys to authorize, per call.
const BATCH: u32 = 256;

impl<C, A, P> ServerContext<'_, C, A, P>
where
    C: Caches,
    A: Authority,
    P: Archives<Source = <C::Objects as Objects>::Source>,
{
    pub(super) fn list(
        &self,
        request: &Request,
        cache: &str,
        trace: &mut Trace,
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let Parameters { mut prefixes, after, limit, .. } =
            Parameters::parse(request.query.as_deref())?;
        let prefix = prefixes.pop();
        if !prefixes.is_empty() {
            return Err(Problem::bad_request("A list has at most one parameter \"prefix\"."));
        }
        // A token for all keys with that prefix may learn that there are none.
        let text = prefix.as_ref().map(Prefix::as_str).filter(|text| !text.is_empty());
        let verdicts = self.verdicts(token, &[access::access(Operation::List, cache, text)])?;
        let mut findings = Findings::of(&verdicts);
        let Some((_, records)) = self.caches.find(cache) else {
            findings.any()?;
            return Err(Problem::no_cache());
        };
        let limit = limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let mut page = DescribedPage { entries: Vec::new(), next: None };
        let (mut bytes, mut last_key) = (0, None);
        let names = prefix.as_ref().map(Prefix::record_name_prefix).unwrap_or_default();
        let mut after = after.map(|key| key.record_name());
        'pages: loop {
            let listed = records.list(&names, after.as_deref(), BATCH);
            let listed = listed.map_err(|error| self.failed(cache, &Error::reading(error)))?;
            let Some(last) = listed.last() else { break };
            after = Some(last.clone());
            let found = read(&records, &listed, prefix.as_ref());
            let keys: Vec<Key> = found.iter().map(|entry| entry.record.key.clone()).collect();
            if keys.is_empty() {
                continue;
            }
            let accesses = access::accesses(Operation::List, cache, &keys);
            let verdicts = self.verdicts(token, &accesses)?;
            findings.add(&verdicts);
            let visible = found.iter().zip(verdicts);
            for (entry, _) in visible.filter(|(_, verdict)| *verdict == Verdict::Allowed) {
                // There is a next page only if there is an entry for it.
                if page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                    page.next = last_key;
                    break 'pages;
                }
                bytes += page.add(entry);
                last_key = Some(entry.record.key.as_str().to_owned());
            }
        }
        findings.any()?;
        trace.cache = Some(cache.to_owned());
        Ok(Answer::Respond(json(page.encode())))
    }

    pub(super) fn show(
        &self,
        request: &Request,
        cache: &str,
        key: &str,
        trace: &mut Trace,
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let key = url::key(decode(key)?, "key")?;
        let text = Some(key.as_str());
        let accesses = [Operation::Get, Operation::List]
            .map(|operation| access::access(operation, cache, text));
        Findings::of(&self.verdicts(token, &accesses)?).any()?;
        let (_, records) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        trace.cache = Some(cache.to_owned());
        match record_lookup::find(&records, &key) {
            Ok(entry) => Ok(Answer::Respond(json(DescribedEntry::of(&entry).encode()))),
            Err(EntryFault::Absent) => Err(no_entry()),
            Err(EntryFault::Unreadable(error)) => Err(self.failed(cache, &Error::reading(error))),
            Err(fault) => {
                warn_unusable(self.environment, &key, &fault);
                Err(no_entry())
            }
        }
    }

    pub(super) fn delete(
        &self,
        request: &Request,
        cache: &str,
        key: &str,
        trace: &mut Trace,
    ) -> Decision<C, P::Plan> {
        let token = access::token(request)?;
        let key = url::key(decode(key)?, "key")?;
        let accesses = access::accesses(Operation::Delete, cache, std::slice::from_ref(&key));
        Findings::of(&self.verdicts(token, &accesses)?).all()?;
        let (_, records) = self.caches.find(cache).ok_or_else(Problem::no_cache)?;
        trace.cache = Some(cache.to_owned());
        match delete(&records, &key) {
            Ok(Deleted::Done) => {
                self.environment.log(Severity::Debug, &format!("deleted the entry of key {key}"));
                Ok(Answer::Respond(Response::new(204, Body::Empty)))
            }
            Ok(Deleted::Absent) => Err(no_entry()),
            Ok(Deleted::Replaced) => {
                let problem = Problem::new(503, "The entry keeps being replaced. Try again.");
                Err(problem.with_header("retry-after", "1"))
            }
            Err(error) => Err(self.failed(cache, &Error::deleting(error))),
        }
    }
}

/// The entries of these records. Unreadable ones are skipped, as in all lists.
fn read<R: Records>(records: &R, names: &[String], prefix: Option<&Prefix>) -> Vec<Entry> {
    let stored = records.get(names).into_iter().filter_map(|stored| stored.ok().flatten());
    let entries = stored.filter_map(|stored| Entry::decode(&stored).ok());
    entries.filter(|entry| prefix.is_none_or(|prefix| prefix.matches(&entry.record.key))).collect()
}

fn json<Opened, Plan>(body: Vec<u8>) -> Response<Opened, Plan> {
    let mut response = Response::new(200, Body::Bytes(body));
    response.header("content-type", "application/json");
    response
}

fn no_entry() -> Problem {
    Problem::new(404, NO_ENTRY)
}
