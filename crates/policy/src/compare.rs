//! The closed table of how a column compares, in Cedar and in the database. A kind of column that is not in it cannot stand
//! in a row condition, since the two worlds would not agree on every value.
//!
//! What a value of the right kind that Cedar cannot have comes to is said here too ([`never_ill_typed`]): a text in an INTEGER
//! column of SQLite, `NaN` in a numeric and an infinite timestamptz of PostgreSQL err wherever a condition looks at them.
//!
//! - numeric(p,s) with s ≤ 4 and p − s ≤ 14: every value but `NaN` is a Cedar decimal, exactly.
//! - timestamptz: Cedar sees the milliseconds since 1970, rounded down; the microseconds below count for nothing.

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
    /// Four places: `==`, `!=`, `lessThan` and its kin, membership of a set.
    Decimal,
    /// UTC milliseconds: as [`CedarType::Long`].
    Datetime,
}

/// Why a column does not compare, and what a policy's author can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incomparable {
    pub(crate) why: &'static str,
    pub(crate) advice: &'static str,
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
const POSTGRES: DatabaseKind = DatabaseKind::Postgres;
const FLOAT: &str = "floating point cannot be compared in a row condition";
const BYTES: &str = "bytes cannot be compared in a row condition";

const TABLE: &[Rule] = &[
    yes(SQLITE, ColumnKind::Text, CedarType::String),
    yes(SQLITE, ColumnKind::Integer, CedarType::Long),
    yes(SQLITE, ColumnKind::Boolean, CedarType::Bool),
    no(
        SQLITE,
        ColumnKind::Decimal,
        "SQLite keeps decimals as floating point, which cannot be compared in a row condition",
    ),
    no(SQLITE, ColumnKind::Float, FLOAT),
    no(
        SQLITE,
        ColumnKind::Timestamp,
        "SQLite has no type for points in time, so they cannot be compared in a row condition",
    ),
    no(SQLITE, ColumnKind::Date, "SQLite has no type for dates, so they cannot be compared in a row condition"),
    no(SQLITE, ColumnKind::Binary, BYTES),
    no(SQLITE, ColumnKind::Other, "a type that is not text, integer or boolean cannot be compared in a row condition"),
    yes(POSTGRES, ColumnKind::Text, CedarType::String),
    yes(POSTGRES, ColumnKind::Integer, CedarType::Long),
    yes(POSTGRES, ColumnKind::Boolean, CedarType::Bool),
    yes(POSTGRES, ColumnKind::Decimal, CedarType::Decimal),
    yes(POSTGRES, ColumnKind::Timestamp, CedarType::Datetime),
    no(POSTGRES, ColumnKind::Float, FLOAT),
    no(
        POSTGRES,
        ColumnKind::Date,
        "Cedar has no type for calendar days, so they cannot be compared in a row condition",
    ),
    no(POSTGRES, ColumnKind::Binary, BYTES),
    no(POSTGRES, ColumnKind::Other, "Cedar has no type whose values compare like this one's"),
];

const OTHER_SPELLINGS: Incomparable = Incomparable {
    why: "it does not compare by code point, so a row condition could match other spellings",
    advice: "compare a text or varchar column with a deterministic collation instead; citext, char(n), nondeterministic \
             collations and foreign tables do not compare; `has` works for every column",
};
const NUMERIC_TOO_WIDE: Incomparable = Incomparable {
    why: "not every value of it is a Cedar decimal, which has four places and fourteen digits before them",
    advice: "declare it numeric(p,s) with s at most 4 and p - s at most 14, such as numeric(12,2); `has` works for every column",
};
const NO_ZONE: Incomparable = Incomparable {
    why: "it is no point in time, having no time zone, or is read from a foreign table",
    advice: "make it timestamptz in a table of this database, or compare another column; `has` works for every column",
};
const FOREIGN: Incomparable = Incomparable {
    why: "it is read from a foreign table, which does not keep values to the declared digits",
    advice: "compare an integer or boolean column instead; `has` works for every column",
};

/// The most digits after and before the point that every value of a numeric may have: 10¹⁴ is within Cedar's ±922337203685477.5807.
const PLACES_MAX: i32 = 4;
const DIGITS_BEFORE_MAX: i32 = 14;

/// How the column compares, or why it does not.
pub(crate) fn comparable(database: DatabaseKind, column: &Column) -> Result<CedarType, Incomparable> {
    let refused = |why| Incomparable { why, advice: advice(database) };
    if database == DatabaseKind::Mariadb {
        return Err(refused("row conditions on MariaDB are not built yet"));
    }
    let rule = TABLE.iter().find(|rule| rule.database == database && rule.kind == column.kind);
    let cedar = rule.map_or(Err("this type of column cannot be compared in a row condition"), |rule| rule.cedar);
    let cedar = cedar.map_err(refused)?;
    match (database, cedar) {
        (SQLITE, CedarType::String) if !column.binary_collation => {
            Err(refused("its collation does not compare by code point, so a row condition could match other spellings"))
        }
        (POSTGRES, CedarType::String) if !column.binary_collation => Err(OTHER_SPELLINGS),
        // The catalogue calls a column of a foreign table, or of a view on one, not strictly typed.
        (POSTGRES, CedarType::Decimal) if !column.strictly_typed => Err(FOREIGN),
        (POSTGRES, CedarType::Decimal) if !fits_decimal(&column.declared_type) => Err(NUMERIC_TOO_WIDE),
        // The catalogue's word for timestamptz in a table of its own.
        (POSTGRES, CedarType::Datetime) if !column.strictly_typed => Err(NO_ZONE),
        _ => Ok(cedar),
    }
}

/// Whether every value of the column but NULL is certain to be one of its Cedar type.
pub(crate) fn never_ill_typed(database: DatabaseKind, column: &Column) -> bool {
    let exact = match comparable(database, column) {
        Ok(CedarType::String | CedarType::Long | CedarType::Bool) => true,
        // `NaN` and the infinities are in a NOT NULL column too.
        Ok(CedarType::Decimal | CedarType::Datetime) | Err(_) => false,
    };
    exact && column.strictly_typed
}

/// `numeric(p,s)` as `format_type` writes it, with few enough digits. The scale may be negative, and more than the precision.
fn fits_decimal(declared_type: &str) -> bool {
    let digits = || {
        let (precision, scale) = declared_type.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
        Some((precision.parse::<i32>().ok()?, scale.parse::<i32>().ok()?))
    };
    digits().is_some_and(|(precision, scale)| {
        precision > 0 && scale <= PLACES_MAX && precision.saturating_sub(scale) <= DIGITS_BEFORE_MAX
    })
}

pub(crate) const fn advice(database: DatabaseKind) -> &'static str {
    match database {
        DatabaseKind::Sqlite => {
            "compare a text, integer or boolean column instead, or forbid its Column entity; `has` works for every column"
        }
        DatabaseKind::Postgres => {
            "compare a text, integer, boolean, numeric(p,s) or timestamptz column instead, or leave these rows to the \
             database's own row security; `has` works for every column"
        }
        DatabaseKind::Mariadb => {
            "decide by the principal alone, and leave the rows to the database's own rights; `has` works for every column"
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
    use ColumnKind::*;

    fn column(kind: ColumnKind, declared_type: &str) -> Column {
        Column {
            name: "c".into(),
            declared_type: declared_type.into(),
            kind,
            nullable: false,
            strictly_typed: true,
            binary_collation: true,
        }
    }
    fn other_collation(kind: ColumnKind) -> Column {
        Column { binary_collation: false, ..column(kind, "text") }
    }

    #[test]
    fn the_table_is_closed() {
        for database in [SQLITE, POSTGRES] {
            assert_eq!(comparable(database, &column(Text, "text")), Ok(CedarType::String));
            assert_eq!(comparable(database, &other_collation(Integer)), Ok(CedarType::Long));
            assert_eq!(comparable(database, &column(Boolean, "boolean")), Ok(CedarType::Bool));
            assert!(comparable(database, &other_collation(Text)).is_err());
            for kind in [Float, Date, Binary, Other] {
                assert!(comparable(database, &column(kind, "")).is_err(), "{kind:?}");
            }
        }
        for kind in [Decimal, Timestamp] {
            assert!(comparable(SQLITE, &column(kind, "numeric(12,2)")).is_err(), "{kind:?}");
        }
        for kind in [Text, Integer, Boolean, Decimal, Float, Timestamp, Date, Binary, Other] {
            assert!(comparable(DatabaseKind::Mariadb, &column(kind, "numeric(12,2)")).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_numeric_compares_where_each_value_is_a_decimal() {
        for declared in
            ["numeric(12,2)", "numeric(18,4)", "numeric(14,0)", "numeric(2,4)", "numeric(2,-12)", "numeric(1,0)"]
        {
            assert_eq!(comparable(POSTGRES, &column(Decimal, declared)), Ok(CedarType::Decimal), "{declared}");
        }
        for declared in [
            "numeric",
            "numeric(12,5)",
            "numeric(19,4)",
            "numeric(15,0)",
            "numeric(3,-12)",
            "numeric(38,2)",
            "numeric(0,0)",
            "money",
            "numeric(12,2)[]",
            "numeric(12)",
            "numeric(12, 2)",
            "numeric(99999999999,2)",
            "numeric(,)",
            "shop.price",
            "",
        ] {
            assert_eq!(comparable(POSTGRES, &column(Decimal, declared)), Err(NUMERIC_TOO_WIDE), "{declared}");
        }
        let foreign = Column { strictly_typed: false, ..column(Decimal, "numeric(12,2)") };
        assert_eq!(comparable(POSTGRES, &foreign), Err(FOREIGN));
    }

    #[test]
    fn a_timestamp_compares_where_it_has_a_zone() {
        let with_zone = column(Timestamp, "timestamp with time zone");
        assert_eq!(comparable(POSTGRES, &with_zone), Ok(CedarType::Datetime));
        let without = Column { strictly_typed: false, ..column(Timestamp, "timestamp without time zone") };
        assert_eq!(comparable(POSTGRES, &without), Err(NO_ZONE));
    }

    #[test]
    fn only_what_has_no_odd_values_is_certain() {
        for (kind, declared, certain) in [
            (Text, "text", true),
            (Integer, "bigint", true),
            (Boolean, "boolean", true),
            (Decimal, "numeric(12,2)", false),
            (Timestamp, "timestamp with time zone", false),
            (Float, "double precision", false),
        ] {
            assert_eq!(never_ill_typed(POSTGRES, &column(kind, declared)), certain, "{kind:?}");
        }
        assert!(never_ill_typed(SQLITE, &column(Text, "TEXT")));
        assert!(!never_ill_typed(SQLITE, &Column { strictly_typed: false, ..column(Text, "TEXT") }));
    }
}
