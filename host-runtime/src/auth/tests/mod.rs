//! What tokens allow, over all the parts.

mod client;
mod files;
mod hostile;
mod verdicts;

use super::{KeyRing, PrivateKey, PublicKey, Restrictions, RevocationList, issue};
use biscuit_auth::UnverifiedBiscuit;
use biscuit_auth::builder::BlockBuilder;
use btdt_ports::{Access, Authority, Operation, Timestamp, TokenFault, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const NOW: i64 = 1_800_000_000;
const OPERATIONS: [Operation; 4] =
    [Operation::Get, Operation::Put, Operation::List, Operation::Delete];

/// A server's side, with a clock that the test sets.
struct Server {
    key: PrivateKey,
    ring: KeyRing,
    clock: Arc<AtomicI64>,
}

impl Server {
    fn new() -> Self {
        Server::with(RevocationList::empty())
    }

    fn with(revocations: RevocationList) -> Self {
        let key = PrivateKey::generate();
        let clock = Arc::new(AtomicI64::new(NOW));
        let ring = ring(vec![key.public()], revocations, clock.clone());
        Server { key, ring, clock }
    }

    fn issue(&self, restrictions: &Restrictions) -> String {
        issue(&self.key, restrictions).unwrap()
    }

    /// A token with a first block of this Datalog.
    fn issue_datalog(&self, datalog: &str) -> String {
        let block = BlockBuilder::new().code(datalog).unwrap();
        let token = biscuit_auth::BiscuitBuilder::new().merge(block).build(self.key.pair());
        token.unwrap().to_base64().unwrap()
    }

    fn ask(&self, token: &str, access: Access) -> Result<Verdict, TokenFault> {
        self.ring.authorize(token, &[access]).map(|verdicts| verdicts[0])
    }

    fn get(&self, token: &str, key: &str) -> Result<Verdict, TokenFault> {
        self.ask(token, access(Operation::Get, "default", Some(key)))
    }
}

fn ring(keys: Vec<PublicKey>, revocations: RevocationList, clock: Arc<AtomicI64>) -> KeyRing {
    let now = move || Timestamp { seconds: clock.load(Ordering::SeqCst), nanoseconds: 999_999_999 };
    KeyRing::new(keys, Arc::new(revocations), Box::new(now))
}

fn access(operation: Operation, cache: &str, key: Option<&str>) -> Access {
    Access { operation, cache: cache.to_owned(), key: key.map(str::to_owned) }
}

/// All that the tests ask for.
fn accesses() -> Vec<Access> {
    let mut all = Vec::new();
    for operation in OPERATIONS {
        for cache in ["default", "other", ""] {
            for key in [None, Some("ci/a"), Some("dev/a"), Some("\"; operation(\"get\")"), Some("")]
            {
                all.push(access(operation, cache, key));
            }
        }
    }
    all
}

/// A token with another block of this Datalog.
fn append(token: &str, datalog: &str) -> String {
    let block = BlockBuilder::new().code(datalog).unwrap();
    let token = UnverifiedBiscuit::from_base64(token).unwrap().append(block).unwrap();
    token.to_base64().unwrap()
}
