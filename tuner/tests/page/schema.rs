//! Real output keeps the shipped schema, and the schema describes every property of it.

use s3b_tuner::report::json;
use serde_json::Value;

use crate::fixture;

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no such type {other}"),
    }
}

/// The part of JSON Schema that ours uses. Answers what is wrong, with its path.
fn wrong(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(&name[1..]).unwrap_or_else(|| panic!("{name} is not defined"));
        return wrong(root, target, value, path, found);
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = any.iter().any(|one| {
            let mut inside = Vec::new();
            wrong(root, one, value, path, &mut inside);
            inside.is_empty()
        });
        if !fits {
            found.push(format!("{path}: fits none of {any:?}"));
        }
        return;
    }
    let known = ["type", "enum", "const", "minimum", "minItems", "maxItems", "items", "required", "properties"];
    let told = ["$schema", "$defs", "title", "description"];
    for key in schema.as_object().unwrap().keys() {
        assert!(known.contains(&&**key) || told.contains(&&**key), "{path}: {key} is not checked here");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let mut complain = |what: String| found.push(format!("{path}: {what}"));
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
        complain(format!("{value} is no {kinds:?}"));
    }
    if schema.get("enum").is_some_and(|all| !all.as_array().unwrap().contains(value)) {
        complain(format!("{value} is none of {}", schema["enum"]));
    }
    if schema.get("const").is_some_and(|one| one != value) {
        complain(format!("{value} is not {}", schema["const"]));
    }
    let least = schema["minimum"].as_f64();
    if value.as_f64().zip(least).is_some_and(|(number, least)| number < least) {
        complain(format!("{value} is less than {}", schema["minimum"]));
    }
    if let Some(items) = value.as_array() {
        let count = items.len() as u64;
        if schema["minItems"].as_u64().is_some_and(|n| count < n)
            || schema["maxItems"].as_u64().is_some_and(|n| count > n)
        {
            complain(format!("{count} items"));
        }
        items
            .iter()
            .enumerate()
            .for_each(|(n, item)| wrong(root, &schema["items"], item, &format!("{path}/{n}"), found));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().unwrap().iter().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                found.push(format!("{path}: {name} is missing"));
            }
        }
        for (name, value) in object {
            match schema["properties"].get(name) {
                Some(schema) => wrong(root, schema, value, &format!("{path}/{name}"), found),
                None => found.push(format!("{path}: {name} is not described")),
            }
        }
    }
}

fn complaints(value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(json::DESCRIPTION).unwrap();
    let mut found = Vec::new();
    wrong(&schema, &schema, value, "", &mut found);
    found
}

#[test]
fn real_output_keeps_the_shipped_schema() {
    for outcome in [fixture::simulated(), fixture::confirmed(), fixture::empty()] {
        let value: Value = serde_json::from_str(&json::render(&outcome)).unwrap();
        let found = complaints(&value);
        assert!(found.is_empty(), "{} complaints, the first: {:?}", found.len(), &found[..found.len().min(5)]);
    }
    let mut value: Value = serde_json::from_str(&json::render(&fixture::simulated())).unwrap();
    value["run"]["seed"] = Value::from("seven");
    value["configurations"][0].as_object_mut().unwrap().remove("breaks");
    value["extra"] = Value::Null;
    value["workloads"][0]["ops"] = Value::from(-1);
    let found = complaints(&value);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().any(|one| one == "/workloads/0/ops: -1 is less than 0"), "{found:?}");
}
