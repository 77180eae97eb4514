//! A schema in few words, for a model that has to read all of it.
//!
//! In: tables as the caller sees them. Out: a line for each, `orders(id int pk, note text?, email text masked)`.

use std::borrow::Cow;

use asuser_core::TableKind;
use asuser_query::{FieldDescription, TableDescription};

/// A type's own word is cut here: an enumeration can be long.
const TYPE_CHARS_MAX: usize = 24;

/// All tables, a line each.
pub(crate) fn lines(tables: &[TableDescription]) -> String {
    let mut text = String::new();
    for table in tables {
        if table.kind == TableKind::View {
            text.push_str("view ");
        }
        text.push_str(&name(table.name.as_str()));
        text.push('(');
        for (at, field) in table.field.iter().enumerate() {
            if at > 0 {
                text.push_str(", ");
            }
            column(&mut text, field);
        }
        text.push_str(")\n");
    }
    text.truncate(text.trim_end().len());
    text
}

fn column(text: &mut String, field: &FieldDescription) {
    text.push_str(&name(&field.name));
    text.push(' ');
    text.push_str(&kind(field));
    if field.allow_null && !field.is_primary_key {
        text.push('?');
    }
    if field.is_primary_key {
        text.push_str(" pk");
    }
    if field.mask.is_some() {
        text.push_str(" masked");
    }
}

fn kind(field: &FieldDescription) -> Cow<'static, str> {
    match field.kind {
        "string" => "text".into(),
        "integer" => "int".into(),
        "boolean" => "bool".into(),
        "binary" => "bytes".into(),
        "other" => field.db_type.chars().filter(|c| !c.is_control()).take(TYPE_CHARS_MAX).collect::<String>().into(),
        word => word.into(),
    }
}

/// A name that is no plain word stands in backticks, as the filter grammar takes it.
fn name(name: &str) -> Cow<'_, str> {
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain && !name.is_empty() {
        return name.into();
    }
    let clean: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{}`", clean.replace('`', "``")).into()
}

#[cfg(test)]
mod tests {
    use asuser_core::MaskKind;

    use super::*;

    fn field(name: &str, kind: &'static str) -> FieldDescription {
        FieldDescription {
            name: name.into(),
            kind,
            db_type: "VARCHAR(40)".into(),
            allow_null: false,
            is_primary_key: false,
            mask: None,
        }
    }
    fn table(name: &str, kind: TableKind, field: Vec<FieldDescription>) -> TableDescription {
        TableDescription { name: name.into(), kind, primary_key: Vec::new(), field }
    }

    #[test]
    fn a_line_says_keys_nulls_and_masks() {
        let id = FieldDescription { is_primary_key: true, ..field("id", "integer") };
        let note = FieldDescription { allow_null: true, ..field("note", "string") };
        let email = FieldDescription { mask: Some(MaskKind::Email), allow_null: true, ..field("email", "string") };
        let odd = FieldDescription { db_type: "tsvector".into(), ..field("search `x`\n", "other") };
        let tables = [
            table("orders", TableKind::Table, vec![id, note, email]),
            table("latest orders", TableKind::View, vec![odd]),
        ];
        assert_eq!(
            lines(&tables),
            "orders(id int pk, note text?, email text? masked)\nview `latest orders`(`search ``x``\u{fffd}` tsvector)"
        );
        assert_eq!(lines(&[]), "");
    }

    /// A hundred tables of an ordinary company: at most 6,000 tokens, by either estimate.
    #[test]
    fn a_hundred_tables_fit_a_model() {
        let columns = [
            ("id", "integer"),
            ("customer_id", "integer"),
            ("created_at", "timestamp"),
            ("updated_at", "timestamp"),
            ("status", "string"),
            ("total_amount", "decimal"),
            ("currency", "string"),
            ("description", "string"),
            ("is_active", "boolean"),
            ("external_reference", "string"),
        ];
        let tables: Vec<TableDescription> = (0..100)
            .map(|n| {
                let fields = columns.iter().enumerate().map(|(at, (name, kind))| FieldDescription {
                    is_primary_key: at == 0,
                    allow_null: at % 3 == 2,
                    ..field(name, kind)
                });
                table(&format!("sales_order_detail_{n}"), TableKind::Table, fields.collect())
            })
            .collect();
        let text = lines(&tables);
        let by_letters = text.len() / 4;
        let by_words = pieces(&text);
        println!(
            "100 tables, 1,000 columns: {} bytes, {by_letters} tokens by letters, {by_words} by words",
            text.len()
        );
        assert!(by_letters <= 6_000 && by_words <= 6_000, "{by_letters} {by_words}");
    }

    /// What a byte-pair encoding makes of it, roughly: a token for a word of up to eight letters with the sign or space before it
    /// (`, customer`, `_id`), one for each two digits, one for other signs that stand together.
    fn pieces(text: &str) -> usize {
        let mut count = 0;
        let mut run = 0;
        let mut class = ' ';
        for c in text.chars() {
            let this = match c {
                'a'..='z' | 'A'..='Z' => 'a',
                '0'..='9' => '0',
                '_' | ' ' => '_',
                '\n' => '\n',
                _ => '.',
            };
            let limit = match this {
                'a' => 8,
                '0' => 2,
                _ => 4,
            };
            run += 1;
            // A space or underscore goes with the word after it.
            if (this != class && class != '_') || run > limit {
                count += 1;
                run = 1;
            }
            class = this;
        }
        count
    }
}
