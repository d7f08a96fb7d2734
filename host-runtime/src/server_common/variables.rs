//! The variables of the environment that configure a server.

/// The variable that names a file with the configuration.
pub const FILE_VARIABLE: &str = "BTDT_SERVER_CONFIG_FILE";

/// What the names of our variables begin with.
pub const PREFIX: &str = "BTDT_";

/// Variables with our prefix that are meant for others: the health check, and the tool `btdt`.
const VARIABLES_OF_OTHERS: [&str; 2] = ["BTDT_TRUSTED_ROOT_CERTS", "BTDT_AUTH_TOKEN_FILE"];

/// Whether a variable may be meant for a server, apart from the one that names a file.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
        && name != FILE_VARIABLE
        && !VARIABLES_OF_OTHERS.contains(&name)
        && !is_of_kubernetes(name)
}

/// Whether Kubernetes makes such a variable for a service whose name begins with `btdt`, in every
/// pod of the namespace: `BTDT_SERVER_SERVICE_HOST`, `BTDT_SERVER_PORT_8707_TCP_ADDR`, and so on.
fn is_of_kubernetes(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    // The name of the service has a word at least: `BTDT`.
    (1..words.len()).any(|end_of_name| match &words[end_of_name..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] | ["PORT"] => true,
        ["PORT", port, "TCP" | "UDP" | "SCTP", rest @ ..] => {
            port.parse::<u16>().is_ok() && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services() {
        for name in [
            "BTDT_SERVER_PORT",
            "BTDT_PORT",
            "BTDT_SERVER_SERVICE_HOST",
            "BTDT_SERVICE_HOST",
            "BTDT_SERVER_SERVICE_PORT",
            "BTDT_SERVER_SERVICE_PORT_HTTP",
            "BTDT_SERVER_SERVICE_PORT_HTTP_METRICS",
            "BTDT_SERVER_PORT_8707_TCP",
            "BTDT_SERVER_PORT_8707_TCP_PROTO",
            "BTDT_SERVER_PORT_8707_UDP_PORT",
            "BTDT_CACHE_2_PORT_443_TCP_ADDR",
        ] {
            assert!(is_of_kubernetes(name), "{name}");
            assert!(!is_ours(name), "{name}");
        }
        for name in [
            "BTDT_BIND_ADDRS",
            "BTDT_TLS_KEYSTORE_PASSWORD",
            "BTDT_CLEANUP__INTERVAL",
            "BTDT_SERVER_PORT_NUMBER",
            "BTDT_SERVER_PORT_99999_TCP",
            "BTDT_CACHES__SERVICE__TYPE",
        ] {
            assert!(is_ours(name), "{name}");
        }
        assert!(!is_ours("PATH") && !is_ours("btdt_bind_addrs") && !is_ours(FILE_VARIABLE));
    }
}
