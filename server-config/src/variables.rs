//! Environment variables: which ones configure a server, and where their values belong.

use crate::problem::FIRST_VARIABLE;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Values by the names of the variables.
pub(crate) type Variables = BTreeMap<String, String>;

/// The variable that names the configuration file.
pub(crate) const FILE_VARIABLE: &str = "BTDT_SERVER_CONFIG_FILE";

/// What the names of our variables begin with.
const PREFIX: &str = "BTDT_";

/// Variables with our prefix for the health check and for the tool `btdt`.
const VARIABLES_OF_OTHERS: [&str; 2] = ["BTDT_TRUSTED_ROOT_CERTS", "BTDT_AUTH_TOKEN_FILE"];

/// Whether a variable may be meant for a server, apart from [`FILE_VARIABLE`].
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
        && name != FILE_VARIABLE
        && !VARIABLES_OF_OTHERS.contains(&name)
        && !is_of_kubernetes(name)
}

/// Whether Kubernetes sets such a variable in every pod for a service whose name begins with
/// `btdt`: `BTDT_SERVER_SERVICE_HOST`, `BTDT_SERVER_PORT_8707_TCP_ADDR`, and so on.
fn is_of_kubernetes(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    // The name of the service has at least one word: `BTDT`.
    (1..words.len()).any(|end_of_name| match &words[end_of_name..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] | ["PORT"] => true,
        ["PORT", port, "TCP" | "UDP" | "SCTP", rest @ ..] => {
            port.parse::<u16>().is_ok() && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        }
        _ => false,
    })
}

/// The variable that sets a key of a section.
pub(crate) fn variable_name(section: &str, key: &str) -> String {
    let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// The part of a name that says which key it is.
pub(crate) fn key_path(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Replaces and adds values. `__` separates the sections of a name, and case does not matter. The
/// spans of the values are the numbers of the variables.
pub(crate) fn overlay(tree: &mut DeTable<'_>, variables: Variables) {
    for (number, (name, value)) in variables.into_iter().enumerate() {
        let number = FIRST_VARIABLE + number;
        let path: Vec<&str> = key_path(&name).split("__").collect();
        set(tree, &path, value, number..number + 1);
    }
}

fn set(table: &mut DeTable<'_>, path: &[&str], value: String, span: Range<usize>) {
    let [part, rest @ ..] = path else { return };
    let existing = table.keys().find(|key| key.get_ref().eq_ignore_ascii_case(part));
    let key = existing.map_or_else(|| part.to_ascii_lowercase(), Spanned::to_string);
    if !rest.is_empty()
        && let Some(DeValue::Table(inner)) = table.get_mut(key.as_str()).map(Spanned::get_mut)
    {
        return set(inner, rest, value, span);
    }
    let value = if rest.is_empty() {
        DeValue::String(value.into())
    } else {
        let mut inner = DeTable::new();
        set(&mut inner, rest, value, span.clone());
        DeValue::Table(inner)
    };
    // Inserting alone would keep the span of the old key.
    table.remove(key.as_str());
    table.insert(Spanned::new(span.clone(), key.into()), Spanned::new(span, value));
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
