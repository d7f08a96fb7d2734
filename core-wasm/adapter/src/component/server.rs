//! What a server gives the core: its caches, and who decides about tokens.

use super::own::service;
use super::places::{local_cache, path_of};
use super::wit::{auth, caches};
use super::{Adapter, environment};
use btdt_host_runtime::auth::{
    KeyOrigin, KeyRing, RevocationList, load_or_create, read_public_keys,
};
use btdt_host_runtime::clock;
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::{Access, Authority, Severity, TokenFault, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The caches by their names.
static CACHES: Mutex<BTreeMap<String, FilesystemStorage>> = Mutex::new(BTreeMap::new());

/// Who decides about tokens, once it has been told its keys.
static AUTHORITY: Mutex<Option<Arc<KeyRing>>> = Mutex::new(None);

impl auth::Guest for Adapter {
    fn authorize(token: String, accesses: Vec<Access>) -> Result<Vec<Verdict>, TokenFault> {
        let ring = AUTHORITY.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Where no key is trusted, none has signed it.
        let ring = ring.ok_or(TokenFault::Forged)?;
        ring.authorize(&token, &accesses)
    }
}

impl caches::Guest for Adapter {
    fn find(name: String) -> Option<caches::LocalCache> {
        let caches = CACHES.lock().unwrap_or_else(PoisonError::into_inner);
        caches.get(&name).cloned().map(local_cache)
    }
}

/// Gives a cache its name.
pub(super) fn add_cache(name: String, storage: FilesystemStorage) {
    CACHES.lock().unwrap_or_else(PoisonError::into_inner).insert(name, storage);
}

/// Trusts these keys from now on.
pub(super) fn trust(keys: service::Keys) -> Result<(), service::KeyFault> {
    let fault = |error: &dyn std::error::Error| service::KeyFault { reason: error.to_string() };
    let mut trusted = Vec::new();
    if let Some(path) = keys.private_key {
        let path = path_of(path);
        let (key, origin) = load_or_create(&path).map_err(|error| fault(&error))?;
        if origin == KeyOrigin::Created {
            let path = path.display();
            let message = format!("There was no private key, so a new one is in {path} now");
            environment::log(Severity::Warning, &message);
        }
        trusted.push(key.public());
    }
    for path in keys.public_keys {
        trusted.extend(read_public_keys(&path_of(path)).map_err(|error| fault(&error))?);
    }
    if trusted.is_empty() {
        let reason = "neither a private nor a public key is given".to_owned();
        return Err(service::KeyFault { reason });
    }
    let revoked = match keys.revocation_list {
        Some(path) => RevocationList::load(&path_of(path)).map_err(|error| fault(&error))?,
        None => RevocationList::empty(),
    };
    let ring = KeyRing::new(trusted, Arc::new(revoked), Box::new(clock::now));
    *AUTHORITY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ring));
    Ok(())
}
