//! What the server counts, in the text format of Prometheus.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    cache: String,
    result: &'static str,
}

/// All counters of a server. Labels come from a bounded set: a name from a request becomes one only
/// if it is that of a cache of this server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    received: Counter,
    sent: Counter,
    lookups: Family<LookupLabels, Counter>,
    stored: Family<CacheLabels, Counter>,
    deduplicated: Family<CacheLabels, Counter>,
    size: Family<CacheLabels, Gauge>,
    entries: Family<CacheLabels, Gauge>,
    evictions: Family<CacheLabels, Counter>,
    cleanup_failures: Family<CacheLabels, Counter>,
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Connections that were refused because there were too many.
    pub(crate) refused_connections: Counter,
    /// Requests in progress.
    pub(crate) running: Gauge,
    /// Instances of the core at work.
    pub(crate) instances: Gauge,
    /// Instances of the core that stopped unexpectedly.
    pub(crate) traps: Counter,
}

/// What a cleanup found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// Entries that were removed.
    pub(crate) evicted: u64,
    /// Entries that are left.
    pub(crate) entries: u64,
    /// Their stored size in bytes, what they share counted once.
    pub(crate) size: u64,
}

fn seconds() -> Histogram {
    // From half a millisecond to about half an hour.
    Histogram::new(exponential_buckets(0.0005, 4.0, 12))
}

impl Metrics {
    /// All counters at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("btdt"),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            received: Counter::default(),
            sent: Counter::default(),
            lookups: Family::default(),
            stored: Family::default(),
            deduplicated: Family::default(),
            size: Family::default(),
            entries: Family::default(),
            evictions: Family::default(),
            cleanup_failures: Family::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            running: Gauge::default(),
            instances: Gauge::default(),
            traps: Counter::default(),
        };
        metrics.register_requests();
        metrics.register_caches();
        metrics
    }

    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "Time from the head of a request to the end of its answer";
        registry.register_with_unit(
            "request_duration",
            help,
            Unit::Seconds,
            self.durations.clone(),
        );
        let help = "Bodies received";
        registry.register_with_unit("received", help, Unit::Bytes, self.received.clone());
        registry.register_with_unit("sent", "Bodies sent", Unit::Bytes, self.sent.clone());
        registry.register("connections", "Connections that are open", self.connections.clone());
        let help = "Connections refused because there were too many";
        registry.register("refused_connections", help, self.refused_connections.clone());
        let help = "Requests that are being answered";
        registry.register("running_requests", help, self.running.clone());
        let help = "Instances of the core that are at work";
        registry.register("core_instances", help, self.instances.clone());
        let help = "Instances of the core that stopped unexpectedly";
        registry.register("core_traps", help, self.traps.clone());
    }

    fn register_caches(&mut self) {
        let registry = &mut self.registry;
        let help = "Requests for an entry, by whether there was one";
        registry.register("lookups", help, self.lookups.clone());
        let help = "New chunks in stored form";
        registry.register_with_unit("stored", help, Unit::Bytes, self.stored.clone());
        let help = "Chunks in stored form that were sent but there already";
        registry.register_with_unit("deduplicated", help, Unit::Bytes, self.deduplicated.clone());
        let help = "Stored size of the entries, what they share counted once, at the last cleanup";
        registry.register_with_unit("cache_size", help, Unit::Bytes, self.size.clone());
        registry.register("cache_entries", "Entries at the last cleanup", self.entries.clone());
        registry.register("evictions", "Entries removed by cleanups", self.evictions.clone());
        let help = "Cleanups that failed";
        registry.register("cleanup_failures", help, self.cleanup_failures.clone());
    }

    /// Counts a request that was answered, and how long it took.
    pub(crate) fn answered(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.requests.get_or_create(&RequestLabels { route: route.clone(), method, status }).inc();
        self.durations.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// Counts bytes of bodies that came in.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// Counts bytes of bodies that went out.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    /// Counts a request for an entry.
    pub(crate) fn looked_up(&self, cache: &str, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        self.lookups.get_or_create(&LookupLabels { cache: cache.to_owned(), result }).inc();
    }

    /// Counts the stored form of a chunk that was sent to a cache.
    pub(crate) fn kept(&self, cache: &str, bytes: u64, new: bool) {
        let counter = if new { &self.stored } else { &self.deduplicated };
        counter.get_or_create(&CacheLabels { cache: cache.to_owned() }).inc_by(bytes);
    }

    /// Counts what a cleanup did; `None` where it failed.
    pub(crate) fn cleaned(&self, cache: &str, cleaned: Option<Cleaned>) {
        let labels = CacheLabels { cache: cache.to_owned() };
        let Some(cleaned) = cleaned else {
            self.cleanup_failures.get_or_create(&labels).inc();
            return;
        };
        let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.size.get_or_create(&labels).set(gauge(cleaned.size));
        self.entries.get_or_create(&labels).set(gauge(cleaned.entries));
        self.evictions.get_or_create(&labels).inc_by(cleaned.evicted);
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
