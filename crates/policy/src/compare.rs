//! The closed table of how a column compares, in Cedar and in the database. A kind of column that is not in it cannot stand
//! in a row condition, since the two worlds would not agree on every value.

use asuser_core::{Column, ColumnKind, DatabaseKind, Table};

/// What a column is in Cedar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CedarType {
    /// By code point: `==`, `!=`, `like`, membership of a set.
    String,
    /// 64 bits: `==`, `!=`, `<`, `<=`, `>`, `>=`, membership of a set.
    Long,
    /// `==`, `!=`, or alone as a condition.
    Bool,
}

struct Rule {
    database: DatabaseKind,
    kind: ColumnKind,
    cedar: Result<CedarType, &'static str>,
}

const fn yes(database: DatabaseKind, kind: ColumnKind, cedar: CedarType) -> Rule {
    Rule { database, kind, cedar: Ok(cedar) }
}
const fn no(database: DatabaseKind, kind: ColumnKind, why: &'static str) -> Rule {
    Rule { database, kind, cedar: Err(why) }
}

const SQLITE: DatabaseKind = DatabaseKind::Sqlite;
const TABLE: &[Rule] = &[
    yes(SQLITE, ColumnKind::Text, CedarType::String),
    yes(SQLITE, ColumnKind::Integer, CedarType::Long),
    yes(SQLITE, ColumnKind::Boolean, CedarType::Bool),
    no(
        SQLITE,
        ColumnKind::Decimal,
        "SQLite keeps decimals as floating point, which cannot be compared in a row condition",
    ),
    no(SQLITE, ColumnKind::Float, "floating point cannot be compared in a row condition"),
    no(
        SQLITE,
        ColumnKind::Timestamp,
        "SQLite has no type for points in time, so they cannot be compared in a row condition",
    ),
    no(SQLITE, ColumnKind::Date, "SQLite has no type for dates, so they cannot be compared in a row condition"),
    no(SQLITE, ColumnKind::Binary, "bytes cannot be compared in a row condition"),
    no(SQLITE, ColumnKind::Other, "a type that is not text, integer or boolean cannot be compared in a row condition"),
];

/// How the column compares, or why it does not.
pub(crate) fn comparable(database: DatabaseKind, column: &Column) -> Result<CedarType, &'static str> {
    if database != SQLITE {
        return Err("row conditions on PostgreSQL and MariaDB are not built yet");
    }
    let rule = TABLE.iter().find(|rule| rule.database == database && rule.kind == column.kind);
    let cedar = rule.map_or(Err("this type of column cannot be compared in a row condition"), |rule| rule.cedar)?;
    if cedar == CedarType::String && !column.binary_collation {
        return Err("its collation does not compare by code point, so a row condition could match other spellings");
    }
    Ok(cedar)
}

/// What a policy's author can do about a column that does not compare.
pub(crate) const fn advice(database: DatabaseKind) -> &'static str {
    match database {
        DatabaseKind::Sqlite => {
            "compare a text, integer or boolean column instead, or forbid its Column entity; `has` works for every column"
        }
        DatabaseKind::Postgres | DatabaseKind::Mariadb => {
            "decide by the principal alone, and leave the rows to the database's own policies; `has` works for every column"
        }
    }
}

/// The whole sentence.
pub(crate) fn refusal(table: &Table, column: &Column, why: &str) -> String {
    let declared = if column.declared_type.is_empty() { "untyped" } else { &column.declared_type };
    format!("column `{}` of `{}` is {declared}: {why}", column.name, table.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind, binary_collation: bool) -> Column {
        Column {
            name: "c".into(),
            declared_type: String::new(),
            kind,
            nullable: false,
            strictly_typed: true,
            binary_collation,
        }
    }

    #[test]
    fn the_table_is_closed() {
        use ColumnKind::*;
        assert_eq!(comparable(SQLITE, &column(Text, true)), Ok(CedarType::String));
        assert_eq!(comparable(SQLITE, &column(Integer, false)), Ok(CedarType::Long));
        assert_eq!(comparable(SQLITE, &column(Boolean, false)), Ok(CedarType::Bool));
        assert!(comparable(SQLITE, &column(Text, false)).is_err());
        for kind in [Decimal, Float, Timestamp, Date, Binary, Other] {
            assert!(comparable(SQLITE, &column(kind, true)).is_err(), "{kind:?}");
        }
        for database in [DatabaseKind::Postgres, DatabaseKind::Mariadb] {
            for kind in [Text, Integer, Boolean, Decimal, Float, Timestamp, Date, Binary, Other] {
                assert!(comparable(database, &column(kind, true)).is_err(), "{kind:?}");
            }
        }
    }
}
