//! Cleans all caches at regular intervals.

use crate::caches::Cache;
use crate::metrics::Cleaned;
use crate::service::Service;
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{self, CoreError};
use btdt_ports::client;
use std::sync::Arc;
use std::time::Duration;

/// Cleans every cache at once and then after each interval. Never ends.
pub(crate) async fn run(service: Arc<Service>, interval: Duration) {
    loop {
        let service = Arc::clone(&service);
        let cleaning = tokio::task::spawn_blocking(move || {
            for (name, cache) in service.caches.iter() {
                clean(&service, name, cache);
            }
        });
        if let Err(panic) = cleaning.await {
            tracing::error!(error = %panic, "A cleanup stopped unexpectedly");
        }
        tokio::time::sleep(interval).await;
    }
}

fn clean(service: &Service, name: &str, cache: &Cache) {
    let began = clock::instant();
    let count = cache.quota.begin_count();
    let cleaned = match ask(service, cache) {
        Ok(Ok(summary)) => summary,
        Ok(Err(error)) => {
            tracing::error!(cache = name, ?error, "Could not clean the cache");
            return service.metrics.cleaned(name, None);
        }
        Err(error) => {
            service.metrics.traps.inc();
            tracing::error!(cache = name, %error, "Could not clean the cache");
            return service.metrics.cleaned(name, None);
        }
    };
    let evicted = cleaned.removed + cleaned.damaged;
    cache.quota.counted(count, cleaned.occupied_bytes);
    let measured = Cleaned { evicted, entries: cleaned.kept, size: cleaned.kept_bytes };
    service.metrics.cleaned(name, Some(measured));
    let deleted_bytes = cleaned.swept.map_or(0, |swept| swept.deleted_bytes);
    tracing::info!(
        cache = name,
        removed = cleaned.removed,
        damaged = cleaned.damaged,
        entries = cleaned.kept,
        bytes = cleaned.kept_bytes,
        occupied_bytes = cleaned.occupied_bytes,
        deleted_bytes,
        milliseconds = began.elapsed().as_secs_f64() * 1000.0,
        "Cleaned the cache"
    );
}

fn ask(
    service: &Service,
    cache: &Cache,
) -> Result<Result<client::CleanSummary, client::Error>, CoreError> {
    let request = client::CleanRequest {
        max_age: cache.cleanup.cache_expiration.map(|age| age.as_secs()),
        max_size: cache.cleanup.max_cache_size,
        grace_period: cache.cleanup.grace_period.as_secs(),
    };
    let cache = engine::Cache::Local(cache.local.clone());
    service.cleanup_session()?.clean(request, cache)
}
