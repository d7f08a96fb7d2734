//! Takes over certificates and revocations whose files have changed.

use crate::log_throttle::LogThrottle;
use crate::reloadable::Change;
use crate::tls::{Tls, TlsError};
use btdt_host_runtime::auth::RevocationList;
use btdt_host_runtime::clock;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Checks the files again and again. Never ends.
pub(crate) async fn run(tls: Option<Arc<Tls>>, revoked: Arc<RevocationList>) {
    let mut log = ReloadLog::default();
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let (tls, revoked) = (tls.clone(), Arc::clone(&revoked));
        // The files may be on a volume that hangs.
        let checked = tokio::task::spawn_blocking(move || {
            let now = clock::instant();
            if let Some(tls) = tls {
                log.certificate(tls.check(), tls.is_current(), now);
            }
            log.revocations(revoked.reload(), now);
            log
        });
        log = checked.await.unwrap_or_else(|_| {
            tracing::error!("Looking at certificate and revocations failed unexpectedly");
            ReloadLog::default()
        });
    }
}

/// Logs what a check found, and a fault that stays only once in a while.
#[derive(Default)]
struct ReloadLog {
    certificate: LogThrottle,
    revocations: LogThrottle,
}

impl ReloadLog {
    fn certificate(&mut self, checked: Result<Change, TlsError>, is_current: bool, now: Instant) {
        match checked {
            Ok(Change::Replaced) => {
                self.certificate.end();
                tracing::info!("Took over a new certificate");
            }
            Ok(Change::None) if is_current && self.certificate.end() => {
                tracing::info!("The certificate can be read again");
            }
            // Files that can be read but not used are reported only once.
            Ok(Change::None) => {}
            Err(error) => {
                if self.certificate.is_due(&error.to_string(), now) {
                    tracing::error!(%error, "The old certificate stays in use");
                }
            }
        }
    }

    fn revocations<E: std::fmt::Display>(&mut self, loaded: Result<usize, E>, now: Instant) {
        match loaded {
            Ok(entries) if self.revocations.end() => {
                tracing::info!(entries, "The list of revocations can be read again");
            }
            Ok(_) => {}
            Err(error) => {
                if self.revocations.is_due(&error.to_string(), now) {
                    tracing::error!(%error, "The old revocations stay in use");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::logging;
    use std::io;
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `log`, without times.
    fn logged(log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = logging::subscriber(&LogConfig::default(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let message = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
        text.lines().filter_map(message).collect()
    }

    #[test]
    fn a_file_that_stays_broken_is_told_once_and_then_hourly() {
        let start = clock::instant();
        let look = |index: u64| start + CHECK_INTERVAL * u32::try_from(index).unwrap_or(u32::MAX);
        let said = logged(|| {
            let mut log = ReloadLog::default();
            log.revocations(Ok::<_, io::Error>(2), look(0));
            // Two hours, and a little.
            for index in 1..=2 * 720 + 2 {
                log.revocations(Err(io::Error::other("gone")), look(index));
            }
            for index in 2000..2010 {
                log.revocations(Ok::<_, io::Error>(3), look(index));
            }
            log.revocations(Err(io::Error::other("gone")), look(2010));
        });
        let gone = "ERROR The old revocations stay in use error=gone";
        let back = "INFO  The list of revocations can be read again entries=3";
        assert_eq!(said, [gone, gone, gone, back, gone]);
    }

    #[test]
    fn a_certificate_that_stays_away_is_told_once() {
        let missing = || {
            let error = io::ErrorKind::NotFound.into();
            Err(TlsError::Unreadable { path: "tls.crt".into(), error })
        };
        let now = clock::instant();
        let said = logged(|| {
            let mut log = ReloadLog::default();
            for _ in 0..3 {
                log.certificate(missing(), true, now);
            }
            log.certificate(Ok(Change::None), false, now);
            log.certificate(Ok(Change::None), true, now);
            log.certificate(Ok(Change::None), true, now);
            log.certificate(missing(), true, now);
            log.certificate(Ok(Change::Replaced), true, now);
        });
        let levels: Vec<&str> = said.iter().map(|line| &line[..5]).collect();
        assert_eq!(levels, ["ERROR", "INFO ", "ERROR", "INFO "], "{said:?}");
    }
}
