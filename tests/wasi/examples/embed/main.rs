//! A program that embeds btdt: the core component, with files and a cache of its own in memory.
//!
//! `cargo run --package btdt-wasi-tests --example embed -- target/component/btdt-core.wasm`
//!
//! It uses nothing of btdt but the component and the interfaces in `wit/`: this file loads the one
//! and generates bindings from the others, `cache.rs` and `files.rs` give the core what it needs,
//! each in the order of its interface. docs/wasi.md says what a host has to promise.

// `bindgen!` makes the types public that it is told.
#![allow(unreachable_pub)]

mod cache;
mod files;

use bindings::btdt::cache::{caches, environment, objects, records, tree, types};
use bindings::exports::btdt::cache::client;
use cache::{Cache, Records};
use files::{Content, FileTree, Node};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable, ResourceType};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store, bail, format_err};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "btdt:cache/core",
        // Every function may end the operation with a trap: that is what the outer result is for.
        imports: { default: trappable },
        // What handles of the core stand for.
        with: {
            "btdt:cache/objects.object-store": crate::cache::Cache,
            "btdt:cache/objects.sink": crate::cache::Sink,
            "btdt:cache/objects.source": crate::cache::Source,
            "btdt:cache/objects.lock": crate::Absent,
            "btdt:cache/objects.opened": crate::Absent,
            "btdt:cache/records.record-store": crate::cache::Records,
            "btdt:cache/tree.file-tree": crate::files::FileTree,
            "btdt:cache/tree.packer": crate::files::Packer,
            "btdt:cache/tree.materializer": crate::files::Materializer,
            "btdt:cache/archive.archive-reader": crate::Absent,
            "btdt:cache/archive.archive-plan": crate::Absent,
            "btdt:cache/http.incoming-body": crate::Absent,
            "btdt:cache/http.remote": crate::Absent,
        },
    });
}

/// Stands for the resources that this host has none of.
pub struct Absent;

/// What one instance of the core is given.
#[derive(Default)]
pub struct Host {
    pub(crate) table: ResourceTable,
    /// What the core wanted to be said to the user.
    messages: Vec<String>,
}

pub(crate) fn now() -> types::Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    types::Timestamp { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl environment::Host for Host {
    fn now(&mut self) -> Result<types::Timestamp> {
        Ok(now())
    }

    fn random(&mut self) -> Result<u64> {
        Ok(random())
    }

    fn log(&mut self, severity: environment::Severity, message: String) -> Result<()> {
        if !matches!(severity, environment::Severity::Debug) {
            self.messages.push(message);
        }
        Ok(())
    }
}

impl types::Host for Host {}

/// The core, compiled and linked: made once, and good for any number of operations.
struct Core {
    engine: Engine,
    pre: bindings::CorePre<Host>,
}

impl Core {
    fn load(path: &Path) -> Result<Self> {
        let engine = Engine::default();
        let component = Component::from_file(&engine, path)
            .with_context(|| format!("could not load {}", path.display()))?;
        let mut linker = Linker::new(&engine);
        types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
        environment::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        objects::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        records::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        tree::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
        trap_the_rest(&mut linker, &component)?;
        let pre = bindings::CorePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Core { engine, pre })
    }

    /// Stores a tree, and returns the summary and what there is to be said.
    fn store(&self, key: &str, tree: &FileTree, cache: &Cache) -> Result<client::StoreSummary> {
        let request = client::StoreRequest {
            keys: vec![key.to_owned()],
            excludes: Vec::new(),
            labels: Vec::new(),
            tool: "embed 1.0".to_owned(),
        };
        // A fresh instance for each operation: whatever goes wrong in one, the next is not touched.
        let mut store = Store::new(&self.engine, Host::default());
        let (tree, cache) = hand_over(&mut store, tree, cache)?;
        let core = self.pre.instantiate(&mut store)?;
        let client = core.btdt_cache_client();
        let stored = client.call_store_tree(&mut store, &request, tree, &cache)?;
        stored.map_err(|error| format_err!("could not store: {error:?}"))
    }

    /// Restores the entry of a key; with it comes what there is to be said.
    fn restore(
        &self,
        key: &str,
        tree: &FileTree,
        cache: &Cache,
    ) -> Result<(Option<client::Restored>, Vec<String>)> {
        let request = client::RestoreRequest {
            keys: vec![key.to_owned()],
            prefixes: Vec::new(),
            exact: false,
            checksum: false,
        };
        let mut store = Store::new(&self.engine, Host::default());
        let (tree, cache) = hand_over(&mut store, tree, cache)?;
        let core = self.pre.instantiate(&mut store)?;
        let client = core.btdt_cache_client();
        let restored = client.call_restore_tree(&mut store, &request, tree, &cache)?;
        let restored = restored.map_err(|error| format_err!("could not restore: {error:?}"))?;
        Ok((restored, store.into_data().messages))
    }
}

/// Makes handles for one operation. The core drops them when it is done.
fn hand_over(
    store: &mut Store<Host>,
    tree: &FileTree,
    cache: &Cache,
) -> Result<(Resource<FileTree>, client::Cache)> {
    let table = &mut store.data_mut().table;
    let objects = table.push(cache.clone())?;
    let records = table.push(Records(cache.clone()))?;
    let cache = client::Cache::Local(caches::LocalCache { objects, records });
    Ok((table.push(tree.clone())?, cache))
}

/// Lets everything else that the core imports end the operation: archives, tokens, the caches of a
/// server and its requests, and WASI, which only the standard library inside the core refers to.
///
/// `Linker::define_unknown_imports_as_traps` will not do. It would also redefine the resources that
/// those interfaces only use, and they would be different ones then.
fn trap_the_rest(linker: &mut Linker<Host>, component: &Component) -> Result<()> {
    const DEFINED: &[&str] = &["types", "environment", "objects", "records", "tree"];
    /// Resources of `objects` and `records` that other interfaces use.
    const USED: &[&str] = &["sink", "source", "object-store", "record-store"];

    let engine = linker.engine().clone();
    for (interface, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(contents) = import.ty else { continue };
        let ours = interface.strip_prefix("btdt:cache/").and_then(|rest| rest.split('@').next());
        if ours.is_some_and(|name| DEFINED.contains(&name)) {
            continue;
        }
        let mut instance = linker.instance(interface)?;
        for (item, export) in contents.exports(&engine) {
            let name = format!("{interface}#{item}");
            match export.ty {
                // The one call of WASI that is really made: hash maps want a seed.
                ComponentItem::ComponentFunc(_) if item == "insecure-seed" => {
                    instance.func_wrap(item, |_, (): ()| Ok(((random(), random()),)))?;
                }
                ComponentItem::ComponentFunc(_) => {
                    instance.func_new(item, move |_, _, _, _| bail!("the core called {name}"))?
                }
                ComponentItem::Resource(_) if ours.is_none() || !USED.contains(&item) => {
                    instance.resource(item, ResourceType::host::<Absent>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn example_tree() -> FileTree {
    let node = |content, mode| Node { content, mode: Some(mode), modified: (1_700_000_000, 5) };
    let file = |content: &[u8], mode| node(Content::File(content.to_vec()), mode);
    FileTree::new(BTreeMap::from([
        (b"".to_vec(), node(Content::Directory, 0o755)),
        (b"README".to_vec(), file(b"Hello", 0o644)),
        (b"bin".to_vec(), node(Content::Directory, 0o700)),
        (b"bin/run".to_vec(), file(b"#!/bin/sh\n", 0o755)),
        // Large enough to be cut into several chunks.
        (b"data".to_vec(), file(&b"0123456789abcdef".repeat(1 << 20), 0o600)),
    ]))
}

/// Stores, restores, damages the cache and finds a miss; each step is one line of the result.
fn demonstrate(core: &Path) -> Result<Vec<String>> {
    let core = Core::load(core)?;
    let (original, cache) = (example_tree(), Cache::default());
    let stored = core.store("a-key", &original, &cache)?;
    let mut lines = vec![format!("stored {} files in {} chunks", stored.files, stored.chunks)];

    let copy = FileTree::default();
    let (restored, messages) = core.restore("a-key", &copy, &cache)?;
    let restored = restored.context("the key is not in the cache")?;
    if *copy.nodes() != *original.nodes() || !messages.is_empty() {
        bail!("what was restored is not what was stored; {messages:?}");
    }
    lines.push(format!("restored {} files, all as they were", restored.files));

    let again = core.restore("a-key", &copy, &cache)?.0.context("it is gone")?;
    lines.push(format!("restored over them: {} files written", again.summary.files_written));

    cache.damage_a_chunk();
    let nothing = FileTree::default();
    let (missed, messages) = core.restore("a-key", &nothing, &cache)?;
    if missed.is_some() || !nothing.nodes().is_empty() {
        bail!("a damaged entry was restored");
    }
    lines.push(format!("with a damaged chunk: a miss, and nothing written: {messages:?}"));

    // The core has taken the damaged chunk out, so the next store writes it again.
    let stored = core.store("a-key", &original, &cache)?;
    core.restore("a-key", &nothing, &cache)?.0.context("it is still damaged")?;
    lines.push(format!("stored again: {} chunk was new, and the entry is back", stored.new_chunks));
    Ok(lines)
}

fn main() -> Result<()> {
    let core = std::env::args_os().nth(1).context("usage: embed <btdt-core.wasm>")?;
    for line in demonstrate(Path::new(&core))? {
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `cargo xtask component` leaves the core: beside the directory of the profile.
    fn core() -> std::path::PathBuf {
        let program = std::env::current_exe().unwrap();
        program.ancestors().nth(3).unwrap().join("component/btdt-core.wasm")
    }

    #[test]
    fn the_example_does_what_it_says() {
        let lines = demonstrate(&core()).unwrap();
        assert_eq!(lines[1], "restored 3 files, all as they were");
        assert_eq!(lines[2], "restored over them: 0 files written");
        assert!(lines[3].contains("a miss") && lines[3].contains("damaged"), "{lines:?}");
        assert_eq!(lines[4], "stored again: 1 chunk was new, and the entry is back");
        assert_eq!(lines.len(), 5);
    }
}
