//! What the error codes of `wasi:http` mean, in words that the user understands.

use super::pollables::{CONNECT, IDLE};
use btdt_host_runtime::http_client::{RequestError, Url, host_and_port};
use btdt_ports::HttpErrorKind;
use std::borrow::Cow;
use wasip2::http::types::ErrorCode;

/// What a failed attempt to get an answer means.
pub(super) fn describe(code: &ErrorCode, url: &Url) -> RequestError {
    use ErrorCode as Code;
    let target = host_and_port(url);
    let reason = words(code);
    match code {
        Code::DnsTimeout | Code::DnsError(_) | Code::DestinationNotFound => {
            RequestError::unresolved(url, &reason)
        }
        Code::DestinationUnavailable
        | Code::DestinationIpUnroutable
        | Code::ConnectionRefused
        | Code::ConnectionLimitReached => RequestError::unconnected(url, &reason),
        Code::DestinationIpProhibited | Code::HttpRequestDenied => {
            let detail = format!(
                "the runtime does not allow requests to {target}: permit them where it is started"
            );
            RequestError::permanent(HttpErrorKind::Unreachable, detail)
        }
        Code::ConnectionTimeout => RequestError::slow_connection(url, CONNECT),
        Code::ConnectionReadTimeout | Code::ConnectionWriteTimeout | Code::HttpResponseTimeout => {
            RequestError::silence(url, IDLE)
        }
        // Some runtimes have one code for everything that may be wrong with TLS.
        Code::TlsCertificateError | Code::TlsProtocolError => {
            let advice = "if its certificate was issued by an authority of your own, add the \
                          certificate of that authority to those that the runtime trusts";
            RequestError::tls(url, &format!(": {reason}; {advice}"))
        }
        Code::TlsAlertReceived(_) => RequestError::tls(url, &format!(": {reason}")),
        Code::HttpRequestUriInvalid | Code::HttpRequestUriTooLong => {
            RequestError::permanent(HttpErrorKind::Url, not_sent(url, &reason).error.detail)
        }
        Code::HttpRequestLengthRequired
        | Code::HttpRequestBodySize(_)
        | Code::HttpRequestMethodInvalid
        | Code::HttpRequestHeaderSectionSize(_)
        | Code::HttpRequestHeaderSize(_)
        | Code::HttpRequestTrailerSectionSize(_)
        | Code::HttpRequestTrailerSize(_)
        | Code::ConfigurationError => not_sent(url, &reason),
        Code::HttpResponseHeaderSectionSize(_)
        | Code::HttpResponseHeaderSize(_)
        | Code::HttpResponseBodySize(_)
        | Code::HttpResponseTrailerSectionSize(_)
        | Code::HttpResponseTrailerSize(_)
        | Code::HttpResponseTransferCoding(_)
        | Code::HttpResponseContentCoding(_)
        | Code::HttpUpgradeFailed
        | Code::LoopDetected => RequestError::not_http(url, &reason),
        Code::ConnectionTerminated
        | Code::HttpResponseIncomplete
        | Code::HttpProtocolError
        | Code::InternalError(_) => RequestError::interrupted(url, &reason),
    }
}

/// The runtime does not send a request.
pub(super) fn not_sent(url: &Url, reason: &str) -> RequestError {
    let detail = format!("the request to {} is not sent: {reason}", host_and_port(url));
    RequestError::permanent(HttpErrorKind::Protocol, detail)
}

/// What a code says, without saying about whom.
pub(super) fn words(code: &ErrorCode) -> Cow<'_, str> {
    use ErrorCode as Code;
    let words = match code {
        Code::DnsTimeout => "temporary failure: the name server did not answer",
        Code::DnsError(payload) => match &payload.rcode {
            Some(text) if !text.is_empty() => return Cow::Borrowed(text),
            _ => "the name server does not know it",
        },
        Code::DestinationNotFound => "there is no such host",
        Code::DestinationUnavailable => "it is not available",
        Code::DestinationIpUnroutable => "no route to the host",
        Code::ConnectionRefused => "connection refused",
        Code::ConnectionLimitReached => "the runtime has too many connections",
        Code::DestinationIpProhibited | Code::HttpRequestDenied => "the runtime does not allow it",
        Code::ConnectionTimeout
        | Code::ConnectionReadTimeout
        | Code::ConnectionWriteTimeout
        | Code::HttpResponseTimeout => "it timed out",
        Code::ConnectionTerminated => "the other side closed it",
        Code::TlsProtocolError => "it does not speak it, or its certificate is not trusted",
        Code::TlsCertificateError => "its certificate is not trusted",
        Code::TlsAlertReceived(alert) => match (&alert.alert_message, alert.alert_id) {
            (Some(text), _) if !text.is_empty() => return Cow::Borrowed(text),
            (_, Some(id)) => return Cow::Owned(format!("it answered with the alert {id}")),
            _ => "it answered with an alert",
        },
        Code::HttpRequestUriInvalid => "the runtime does not take the URL",
        Code::HttpRequestUriTooLong => "the URL is too long for the runtime",
        Code::HttpRequestMethodInvalid => "the runtime does not know the method",
        Code::HttpRequestLengthRequired | Code::HttpRequestBodySize(_) => {
            "the runtime does not take the body"
        }
        Code::HttpRequestHeaderSectionSize(_)
        | Code::HttpRequestHeaderSize(_)
        | Code::HttpRequestTrailerSectionSize(_)
        | Code::HttpRequestTrailerSize(_) => "the headers are too large for the runtime",
        Code::ConfigurationError => "the runtime is not set up for it",
        Code::HttpResponseIncomplete => "it is incomplete",
        Code::HttpResponseHeaderSectionSize(_)
        | Code::HttpResponseHeaderSize(_)
        | Code::HttpResponseTrailerSectionSize(_)
        | Code::HttpResponseTrailerSize(_) => "its headers are too large for the runtime",
        Code::HttpResponseBodySize(_) => "it is too large for the runtime",
        Code::HttpResponseTransferCoding(_) | Code::HttpResponseContentCoding(_) => {
            "it is encoded in an unknown way"
        }
        Code::HttpUpgradeFailed => "it wants another protocol",
        Code::LoopDetected => "it goes in circles",
        // Runtimes have this one code for a connection that breaks at a bad moment as well.
        Code::HttpProtocolError => "it was closed too early, or what it answers is not HTTP",
        Code::InternalError(text) => match text {
            Some(text) if !text.is_empty() => return Cow::Borrowed(text),
            _ => "the runtime failed",
        },
    };
    Cow::Borrowed(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasip2::http::types::{DnsErrorPayload, TlsAlertReceivedPayload};

    fn described(code: &ErrorCode) -> (HttpErrorKind, bool, String) {
        let url = Url::parse("https://cache.example/team?token=secret").unwrap();
        let RequestError { error, transient } = describe(code, &url);
        (error.kind, transient, error.detail)
    }

    #[test]
    fn codes_have_the_kinds_of_the_native_client() {
        use HttpErrorKind as Kind;
        let dns = |rcode: &str| {
            ErrorCode::DnsError(DnsErrorPayload { rcode: Some(rcode.to_owned()), info_code: None })
        };
        let alert = TlsAlertReceivedPayload { alert_id: Some(40), alert_message: None };
        for (code, kind, passing) in [
            (ErrorCode::DnsTimeout, Kind::Unresolved, true),
            (dns("NXDOMAIN"), Kind::Unresolved, false),
            (ErrorCode::ConnectionRefused, Kind::Unreachable, true),
            (ErrorCode::HttpRequestDenied, Kind::Unreachable, false),
            (ErrorCode::ConnectionTimeout, Kind::TimedOut, true),
            (ErrorCode::ConnectionReadTimeout, Kind::TimedOut, true),
            (ErrorCode::TlsCertificateError, Kind::Tls, false),
            (ErrorCode::TlsAlertReceived(alert), Kind::Tls, false),
            (ErrorCode::ConnectionTerminated, Kind::Interrupted, true),
            (ErrorCode::HttpProtocolError, Kind::Interrupted, true),
            (ErrorCode::HttpResponseIncomplete, Kind::Interrupted, true),
            (ErrorCode::InternalError(None), Kind::Interrupted, true),
            (ErrorCode::HttpResponseHeaderSectionSize(None), Kind::Protocol, false),
            (ErrorCode::ConfigurationError, Kind::Protocol, false),
            (ErrorCode::HttpRequestUriInvalid, Kind::Url, false),
        ] {
            let (found, again, detail) = described(&code);
            assert_eq!((found, again), (kind, passing), "{code:?}: {detail}");
            assert!(detail.contains("cache.example"), "{detail}");
            assert!(!detail.contains("secret"), "{detail}");
        }
    }

    #[test]
    fn details_say_what_to_do() {
        let detail = |code| described(&code).2;
        assert_eq!(
            detail(ErrorCode::ConnectionRefused),
            "could not connect to cache.example:443: connection refused"
        );
        let untrusted = detail(ErrorCode::TlsCertificateError);
        assert!(untrusted.ends_with("to those that the runtime trusts"), "{untrusted}");
        let denied = detail(ErrorCode::HttpRequestDenied);
        assert!(denied.ends_with("permit them where it is started"), "{denied}");
        let empty = DnsErrorPayload { rcode: Some(String::new()), info_code: None };
        assert_eq!(
            detail(ErrorCode::DnsError(empty)),
            "unknown host cache.example: the name server does not know it"
        );
    }
}
