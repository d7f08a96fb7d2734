//! What the log and the metrics keep of a request.

use super::io_timeouts::Activity;
use crate::service::Service;
use btdt_host_runtime::clock;
use std::sync::Arc;
use std::time::Instant;

/// The status in log and metrics if the connection broke before there was an answer.
const GONE: u16 = 499;

/// The record of a request, written when its answer has been sent or its connection is gone.
pub(super) struct RequestRecord {
    pub(super) service: Arc<Service>,
    activity: Arc<Activity>,
    pub(super) began: Instant,
    pub(super) request_id: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) route: String,
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) sent: u64,
    /// Whether all of the body was sent.
    pub(super) complete: bool,
}

impl RequestRecord {
    /// The record of a request that has just begun.
    pub(super) fn begin(service: Arc<Service>, activity: Arc<Activity>, id: &str) -> Self {
        service.metrics.running.inc();
        RequestRecord {
            service,
            activity,
            began: clock::instant(),
            request_id: id.to_owned(),
            method: "other",
            path: String::new(),
            route: "unknown".to_owned(),
            status: GONE,
            sent: 0,
            complete: false,
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let metrics = &self.service.metrics;
        metrics.sent(self.sent);
        metrics.answered(&self.route, self.method, self.status, took);
        metrics.running.dec();
        self.activity.end();
        let RequestRecord { request_id, method, path, route, status, sent, complete, .. } = self;
        let (method, status, bytes, complete) = (*method, *status, *sent, *complete);
        let milliseconds = took.as_secs_f64() * 1000.0;
        // An operation sends, gets and asks about hundreds of chunks: one line each would bury the
        // rest.
        if (route.contains("chunk") || *route == "missing") && status < 400 {
            tracing::debug!(request_id, method, path, status, bytes, milliseconds, complete);
        } else {
            tracing::info!(request_id, method, path, status, bytes, milliseconds, complete);
        }
    }
}
