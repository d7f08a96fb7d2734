//! The rows about servers: each tool stores to and restores from a server of its own, on this
//! machine, and then the server alone is asked for things.

use super::check::{self, Differences, Extras};
use super::files;
use super::load::{self, Connection, Work};
use super::measure::Usage;
use super::rows::{Row, Step};
use super::runner::{Outcome, Runner, Sample};
use super::server::{Secrets, Server};
use super::tools::{self, Tool};
use super::trees::NodeTrees;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const KEY: &str = "base";
const BUMPED_KEY: &str = "bumped";
/// The entry of one small file.
const SMALL_KEY: &str = "small";

/// Connections of small requests.
const CONNECTIONS: usize = 32;
/// How long small requests are sent, after a while to warm up.
const LOAD: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);

/// Connections over which a client gets the chunks of an entry.
const CHUNK_CONNECTIONS: usize = 8;

/// Archives that are sent at the same time, and for how long, when memory is measured.
const TRANSFERS: usize = 64;
const TRANSFER_TIME: Duration = Duration::from_secs(4);

/// The rows about servers, with one filled cache for each tool.
pub(super) struct RemoteRunner<'a> {
    runner: &'a Runner<'a>,
    base: PathBuf,
    bumped: PathBuf,
    small: PathBuf,
    secrets: Secrets,
    servers: Vec<(Tool, PathBuf)>,
}

impl<'a> RemoteRunner<'a> {
    /// Copies the kept trees to where they are measured, and finds the servers or has them
    /// installed.
    pub(super) fn new(
        runner: &'a Runner<'a>,
        kept: &NodeTrees,
        workspace: &Workspace,
    ) -> Result<Self> {
        let Some(btdt) = runner.tools.program(Tool::Ours) else {
            bail!("the rows about servers need btdt, which makes their token");
        };
        let mut servers = vec![(Tool::Ours, btdt.with_file_name("btdt-server"))];
        if runner.tools.has(Tool::Original) {
            match tools::original_server(workspace) {
                Ok(server) => servers.push((Tool::Original, server)),
                Err(error) => println!("  note: without the rival's server: {error:#}"),
            }
        }
        let secrets = Secrets::make(btdt, &runner.scratch.fresh("secrets")?)?;
        let small = runner.scratch.fresh("small")?;
        fs::write(small.join("file"), "small")?;
        let base = runner.scratch.path("base");
        let bumped = runner.scratch.path("bumped");
        files::copy(&kept.base, &base)?;
        files::copy(&kept.bumped, &bumped)?;
        Ok(Self { runner, base, bumped, small, secrets, servers })
    }

    pub(super) fn row(&self, row: &'static Row) -> Result<Vec<Outcome>> {
        if !matches!(row.step, Step::Store | Step::MemoryIdle) {
            for (tool, _) in &self.servers {
                self.fill_cache(*tool)?;
            }
        }
        self.runner.alternate(row, self.runner.runs, true, |tool| {
            let place = self.runner.scratch.fresh("run")?;
            let result = self.step(row.step, tool, &place);
            files::remove(&place)?;
            result
        })
    }

    fn start(&self, tool: Tool, cache: &Path, place: &Path) -> Result<Server> {
        let program = self.servers.iter().find(|(other, _)| *other == tool);
        let (_, program) = program.context("its server is missing")?;
        Server::start(program, cache, &self.secrets, place)
    }

    fn filled_cache(&self, tool: Tool) -> PathBuf {
        self.runner.scratch.path(&format!("filled-{}", tool.name()))
    }

    /// Makes the cache that has the base tree and the small one, unless an earlier row did.
    fn fill_cache(&self, tool: Tool) -> Result<()> {
        let cache = self.filled_cache(tool);
        if cache.exists() {
            return Ok(());
        }
        let place = self.runner.scratch.fresh("filling")?;
        let server = self.start(tool, &cache, &place)?;
        self.store(tool, &server, &self.base, KEY)?;
        self.store(tool, &server, &self.small, SMALL_KEY)?;
        Ok(())
    }

    fn step(&self, step: Step, tool: Tool, place: &Path) -> Result<(Sample, Option<Differences>)> {
        let empty = place.join("cache");
        let filled = self.filled_cache(tool);
        let plain = |sample| Ok((sample, None));
        match step {
            Step::Store => {
                let server = self.start(tool, &empty, place)?;
                plain(self.store(tool, &server, &self.base, KEY)?)
            }
            Step::StoreAgain => {
                files::copy(&filled, &empty)?;
                let server = self.start(tool, &empty, place)?;
                plain(self.store(tool, &server, &self.bumped, BUMPED_KEY)?)
            }
            Step::Restore => {
                let server = self.start(tool, &filled, place)?;
                let destination = place.join("node_modules");
                let invocation = self.runner.tools.remote(
                    tool,
                    "restore",
                    &server.url(),
                    &self.secrets.token_file,
                    KEY,
                );
                let usage = self.runner.measure(&invocation.arg(&destination))?;
                let differences = check::compare(&self.base, &destination, Extras::Count)?;
                Ok((Sample::plain(usage), Some(differences)))
            }
            Step::SmallRequests => {
                let server = self.start(tool, &filled, place)?;
                let request = self.request(SMALL_KEY);
                load::repeat(server.address, &request, CONNECTIONS, WARM_UP)?;
                plain(measured(&server, || {
                    load::repeat(server.address, &request, CONNECTIONS, LOAD)
                })?)
            }
            Step::Archive => {
                let server = self.start(tool, &filled, place)?;
                let requests = [self.request(KEY)];
                load::each(server.address, &requests, 1)?;
                plain(measured(&server, || load::each(server.address, &requests, 1))?)
            }
            Step::Chunks => {
                let server = self.start(tool, &filled, place)?;
                let requests = self.chunk_requests(&filled)?;
                load::each(server.address, &requests, CHUNK_CONNECTIONS)?;
                let again = || load::each(server.address, &requests, CHUNK_CONNECTIONS);
                plain(measured(&server, again)?)
            }
            Step::MemoryIdle => {
                let server = self.start(tool, &empty, place)?;
                plain(Sample::memory(load::memory(server.process(), "VmRSS")?))
            }
            Step::MemoryTransfers => {
                let server = self.start(tool, &filled, place)?;
                transfer(&server, &self.request(KEY))?;
                plain(Sample::memory(load::memory(server.process(), "VmHWM")?))
            }
            Step::Hash | Step::RestoreOverIdentical | Step::RestoreOverDifferent => {
                bail!("{step:?} is no step of servers")
            }
        }
    }

    fn store(&self, tool: Tool, server: &Server, tree: &Path, key: &str) -> Result<Sample> {
        let token = &self.secrets.token_file;
        let invocation = self.runner.tools.remote(tool, "store", &server.url(), token, key);
        Ok(Sample::plain(self.runner.measure(&invocation.arg(tree))?))
    }

    /// Asks for the archive of an entry.
    fn request(&self, key: &str) -> Vec<u8> {
        load::get(&format!("/api/caches/default?key={key}"), &self.secrets.token)
    }

    /// Asks for each chunk that is in a cache of btdt.
    fn chunk_requests(&self, cache: &Path) -> Result<Vec<Vec<u8>>> {
        let mut requests = Vec::new();
        for shard in fs::read_dir(cache.join("chunks")).context("the cache has no chunks")? {
            for chunk in fs::read_dir(shard?.path())? {
                let name = chunk?.file_name();
                let target = format!("/api/caches/default/chunks/{}", name.to_string_lossy());
                requests.push(load::get(&target, &self.secrets.token));
            }
        }
        Ok(requests)
    }
}

/// Measures what a server does, with the CPU time that it takes for it.
fn measured(server: &Server, work: impl FnOnce() -> Result<Work>) -> Result<Sample> {
    let before = load::cpu(server.process())?;
    let work = work()?;
    let cpu = load::cpu(server.process())?.saturating_sub(before);
    let peak = load::memory(server.process(), "VmHWM")?;
    Ok(Sample::work(Usage { wall: work.wall, cpu, peak }, work))
}

/// Has archives sent over many connections, from which all threads take what comes; whoever has
/// one asks for the next.
fn transfer(server: &Server, request: &[u8]) -> Result<()> {
    let mut connections = Vec::with_capacity(TRANSFERS);
    for _ in 0..TRANSFERS {
        let mut connection = Connection::open(server.address)?;
        connection.send(request)?;
        connections.push(connection);
    }
    let begin = Instant::now();
    thread::scope(|scope| {
        let take = |mut connection: Connection| {
            scope.spawn(move || -> Result<()> {
                // Some are sent only when others are done.
                let mut left = connection.begin()?;
                while begin.elapsed() < TRANSFER_TIME {
                    if left == Some(0) {
                        connection.send(request)?;
                        left = connection.begin()?;
                    }
                    let taken = connection.take_some()?;
                    left = left.map(|left| left.saturating_sub(taken));
                }
                Ok(())
            })
        };
        let running: Vec<_> = connections.drain(..).map(take).collect();
        for thread in running {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}
