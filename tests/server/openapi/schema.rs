//! JSON Schema, as far as the document uses it. A keyword that is not known here fails the test: it
//! would say something that nobody holds against the server.

use regex::Regex;
use serde_json::Value;

/// Keywords that say nothing about what is valid here.
const SILENT: &[&str] = &["description", "default", "format", "examples"];

/// What is wrong with `value` by `schema`, with where it is; nothing if it is valid.
pub(crate) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "", &mut faults);
    faults
}

/// `value`, or what it refers to.
pub(crate) fn resolve<'document>(
    document: &'document Value,
    value: &'document Value,
) -> &'document Value {
    match value.get("$ref").and_then(Value::as_str) {
        None => value,
        Some(reference) => {
            let target = reference.strip_prefix('#').and_then(|path| document.pointer(path));
            resolve(document, target.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolve(document, schema);
    let mut fault = |what: String| faults.push(format!("{at}: {what}: {value}"));
    for (keyword, limit) in schema.as_object().unwrap_or_else(|| panic!("no schema: {schema}")) {
        let size = || limit.as_u64().unwrap();
        match keyword.as_str() {
            "type" if !has_type(value, limit.as_str().unwrap()) => fault(format!("no {limit}")),
            "enum" if !limit.as_array().unwrap().contains(value) => fault("no such value".into()),
            "minimum" if value.as_f64().is_some_and(|value| value < limit.as_f64().unwrap()) => {
                fault(format!("less than {limit}"));
            }
            "minLength" if length(value).is_some_and(|length| length < size()) => {
                fault(format!("shorter than {limit}"));
            }
            "maxLength" if length(value).is_some_and(|length| length > size()) => {
                fault(format!("longer than {limit}"));
            }
            "maxItems" if value.as_array().is_some_and(|items| items.len() as u64 > size()) => {
                fault(format!("more than {limit}"));
            }
            "contains" => {
                let suits = |item| self::faults(document, limit, item).is_empty();
                if value.as_array().is_some_and(|items| !items.iter().any(suits)) {
                    fault(format!("no item that is {limit}"));
                }
            }
            "pattern" => {
                let pattern = Regex::new(limit.as_str().unwrap()).unwrap();
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    fault(format!("not {limit}"));
                }
            }
            "required" if value.is_object() => {
                for name in limit.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        fault(format!("{name} is missing"));
                    }
                }
            }
            "type"
            | "enum"
            | "minimum"
            | "minLength"
            | "maxLength"
            | "maxItems"
            | "required"
            | "properties"
            | "additionalProperties"
            | "items" => {}
            silent if SILENT.contains(&silent) => {}
            unknown => panic!("{at}: the keyword {unknown} is not known to the tests"),
        }
    }
    check_parts(document, schema, value, at, faults);
}

/// Checks members and items.
fn check_parts(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    faults: &mut Vec<String>,
) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = schema.get("properties").and_then(|properties| properties.get(name));
        let at = format!("{at}/{name}");
        match known.or(schema.get("additionalProperties")) {
            Some(Value::Bool(true)) => {}
            Some(schema) if schema.is_object() => check(document, schema, member, &at, faults),
            // JSON Schema would let it pass. But what the server says has to be documented.
            _ => faults.push(format!("{at} is not documented")),
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(schema) = schema.get("items") {
            check(document, schema, item, &format!("{at}/{index}"), faults);
        }
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        _ => panic!("the type {name} is not known to the tests"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

#[test]
fn what_is_not_valid_is_found() {
    let document = serde_json::json!({"n": {"type": "integer", "minimum": 1}});
    let schema = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "array", "maxItems": 2, "items": {"$ref": "#/n"}},
            "s": {"type": "string", "minLength": 1, "maxLength": 2, "pattern": "^[^,\\u0000]*$"},
            "e": {"enum": ["x"]},
            "c": {"contains": {"minLength": 1}},
        },
    });
    let faults = |text: &str| faults(&document, &schema, &serde_json::from_str(text).unwrap());
    for valid in [r#"{"a": [1]}"#, r#"{"a": [1, 2], "s": "éé", "e": "x", "c": ["", "y"]}"#] {
        assert_eq!(faults(valid), [""; 0], "{valid}");
    }
    let invalid = [
        "[]",
        "{}",
        r#"{"a": [0]}"#,
        r#"{"a": ["1"]}"#,
        r#"{"a": [1.5]}"#,
        r#"{"a": [1, 2, 3]}"#,
        r#"{"a": [1], "s": ""}"#,
        r#"{"a": [1], "s": "abc"}"#,
        r#"{"a": [1], "s": ","}"#,
        r#"{"a": [1], "s": "\u0000"}"#,
        r#"{"a": [1], "e": "y"}"#,
        r#"{"a": [1], "c": [""]}"#,
        r#"{"a": [1], "other": 1}"#,
    ];
    for invalid in invalid {
        assert_eq!(faults(invalid).len(), 1, "{invalid}");
    }
}
