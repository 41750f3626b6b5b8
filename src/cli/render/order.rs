//! Orders, for whoever signs and whoever hands in.

use serde_json::Value;

use super::{receipt, safe, status};
use crate::api::order::OrderView;

/// An order as somebody reads it before they sign: every field, and nothing that a terminal would obey.
pub(crate) fn order(order: &Value) -> String {
    let mut text = "You are about to sign this order:\n".to_owned();
    fields(order, "", &mut text);
    text
}

fn fields(value: &Value, name: &str, text: &mut String) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() {
                    member.clone()
                } else {
                    format!("{name}.{member}")
                };
                fields(value, &name, text);
            }
        }
        Value::String(words) => *text += &format!("  {}: {}\n", safe(name), safe(words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            *text += &format!("  {}: {}\n", safe(name), safe(&value.to_string()));
        }
    }
}

/// What came of an order.
pub(crate) fn done(view: &OrderView) -> String {
    let mut text = format!(
        "Order {} to {}, signed by {} with {}\n",
        safe(&view.digest),
        safe(&view.act),
        safe(&view.person),
        safe(&view.key)
    );
    if let Some(emergency) = &view.emergency {
        text += &status::emergency(emergency);
    }
    for ended in &view.receipts {
        text += &receipt::receipt(ended);
    }
    text
}
