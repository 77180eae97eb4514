//! Operators that a statement may use, and how strongly they bind. In: an operator as `sqlparser` has it. Out: its sign. Refuses those that
//! are not listed.
//!
//! `sqlparser` and the database can disagree on which operator binds first. So each tree is compared with the database's own table,
//! and where the two would read it differently the caller is asked for parentheses.

use sqlparser::ast::{BinaryOperator as Op, Expr, UnaryOperator};

use crate::Dialect;

/// The sign of a binary operator, as the database has it.
pub(crate) fn binary(op: &Op, dialect: Dialect) -> Option<&'static str> {
    let sign = match op {
        Op::Plus => "+",
        Op::Minus => "-",
        Op::Multiply => "*",
        Op::Divide => "/",
        Op::Modulo => "%",
        Op::StringConcat => "||",
        Op::Gt => ">",
        Op::Lt => "<",
        Op::GtEq => ">=",
        Op::LtEq => "<=",
        Op::Eq => "=",
        Op::NotEq => "<>",
        Op::BitwiseOr => "|",
        Op::BitwiseAnd => "&",
        Op::PGBitwiseShiftLeft => "<<",
        Op::PGBitwiseShiftRight => ">>",
        Op::Arrow => "->",
        Op::LongArrow => "->>",
        _ if dialect == Dialect::Postgres => return postgres(op),
        _ => return None,
    };
    Some(sign)
}

fn postgres(op: &Op) -> Option<&'static str> {
    Some(match op {
        Op::PGBitwiseXor => "#",
        Op::PGExp => "^",
        Op::PGOverlap => "&&",
        Op::PGRegexMatch => "~",
        Op::PGRegexIMatch => "~*",
        Op::PGRegexNotMatch => "!~",
        Op::PGRegexNotIMatch => "!~*",
        Op::PGLikeMatch => "~~",
        Op::PGILikeMatch => "~~*",
        Op::PGNotLikeMatch => "!~~",
        Op::PGNotILikeMatch => "!~~*",
        Op::PGStartsWith => "^@",
        Op::HashArrow => "#>",
        Op::HashLongArrow => "#>>",
        Op::AtAt => "@@",
        Op::AtArrow => "@>",
        Op::ArrowAt => "<@",
        Op::HashMinus => "#-",
        Op::AtQuestion => "@?",
        Op::Question => "?",
        Op::QuestionAnd => "?&",
        Op::QuestionPipe => "?|",
        Op::LtDashGt => "<->",
        Op::AndLt => "&<",
        Op::AndGt => "&>",
        // `OPERATOR(pg_catalog.x)`, which is also how we print them.
        Op::PGCustomBinaryOperator(parts) => {
            let [schema, sign] = parts.as_slice() else { return None };
            if schema != "pg_catalog" {
                return None;
            }
            return ALL_POSTGRES.iter().copied().find(|known| known == sign);
        }
        Op::Custom(sign) => return ALL_POSTGRES.iter().copied().find(|known| known == sign),
        _ => return None,
    })
}

/// All binary operators of PostgreSQL that may be used.
pub(crate) const ALL_POSTGRES: &[&str] = &[
    "+", "-", "*", "/", "%", "||", ">", "<", ">=", "<=", "=", "<>", "|", "&", "<<", ">>", "->", "->>", "#", "^", "&&",
    "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*", "^@", "#>", "#>>", "@@", "@>", "<@", "#-", "@?", "?", "?&",
    "?|", "<->", "&<", "&>", "-|-",
];

/// The sign of a prefix operator.
pub(crate) fn prefix(op: UnaryOperator, dialect: Dialect) -> Option<&'static str> {
    match (op, dialect) {
        (UnaryOperator::Minus, _) => Some("-"),
        (UnaryOperator::Plus, _) => Some("+"),
        (UnaryOperator::BitwiseNot, _) => Some("~"),
        (UnaryOperator::PGAbs, Dialect::Postgres) => Some("@"),
        (UnaryOperator::PGSquareRoot, Dialect::Postgres) => Some("|/"),
        (UnaryOperator::PGCubeRoot, Dialect::Postgres) => Some("||/"),
        _ => None,
    }
}

/// How strongly an operator binds; more is stronger. `None` where an expression has its own brackets or words around it.
pub(crate) type Strength = u8;

/// Nothing is weaker.
pub(crate) const OR: Strength = 1;
pub(crate) const AND: Strength = 2;
pub(crate) const NOT: Strength = 3;
pub(crate) const IS: Strength = 4;

/// The strength of a comparison.
pub(crate) const fn comparison(dialect: Dialect, sign: &str) -> Strength {
    match (dialect, sign.as_bytes()) {
        (Dialect::Postgres, _) => 5,
        (Dialect::Sqlite, b"=" | b"<>") => 4,
        (Dialect::Sqlite, _) => 6,
    }
}

/// The strength of BETWEEN, IN and LIKE.
pub(crate) const fn like(dialect: Dialect) -> Strength {
    match dialect {
        Dialect::Postgres => 6,
        Dialect::Sqlite => 4,
    }
}

/// The strength of a binary operator.
pub(crate) fn of_sign(dialect: Dialect, sign: &str) -> Strength {
    match (dialect, sign) {
        (_, "<" | ">" | "<=" | ">=" | "=" | "<>") => comparison(dialect, sign),
        (_, "+" | "-") => 9,
        (_, "*" | "/" | "%") => 10,
        (Dialect::Postgres, "^") => 11,
        (Dialect::Sqlite, "||" | "->" | "->>") => 11,
        (Dialect::Sqlite, _) => 8,
        (Dialect::Postgres, _) => 7,
    }
}

/// Of a cast, a subscript and the like.
pub(crate) const POSTFIX: Strength = 20;
pub(crate) const UNARY: Strength = 14;
pub(crate) const COLLATE: Strength = 13;
pub(crate) const AT_ZONE: Strength = 12;

/// Whether an operator takes only operands that bind more strongly on both sides.
pub(crate) fn is_chained(dialect: Dialect, strength: Strength) -> bool {
    dialect == Dialect::Sqlite || !(4..=6).contains(&strength)
}

/// The strength of the operator at the root of an expression that stands without brackets.
pub(crate) fn of_expr(expr: &Expr, dialect: Dialect) -> Option<Strength> {
    Some(match expr {
        Expr::BinaryOp { op: Op::Or, .. } => OR,
        Expr::BinaryOp { op: Op::And, .. } => AND,
        Expr::BinaryOp { op: Op::PGCustomBinaryOperator(_), .. } => 7,
        Expr::BinaryOp { op, .. } => binary(op, dialect).map_or(7, |sign| of_sign(dialect, sign)),
        Expr::UnaryOp { op: UnaryOperator::Not, .. } => NOT,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, .. } => UNARY,
        // PostgreSQL reads `~ a + b` as `~ (a + b)`.
        Expr::UnaryOp { .. } if dialect == Dialect::Postgres => 7,
        Expr::UnaryOp { .. } => UNARY,
        Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::IsJson { .. }
        | Expr::IsNormalized { .. } => IS,
        Expr::In { .. } | Expr::Between { .. } | Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => {
            like(dialect)
        }
        Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => {
            // `= ANY` is a generic operator to PostgreSQL's grammar, one step above a comparison.
            let _ = compare_op;
            7
        }
        Expr::AtTimeZone { .. } => AT_ZONE,
        Expr::Collate { .. } => COLLATE,
        Expr::Cast { kind: sqlparser::ast::CastKind::DoubleColon, .. } | Expr::CompoundFieldAccess { .. } => POSTFIX,
        // `NOT EXISTS (…)` stands for NOT over EXISTS.
        Expr::Exists { negated: true, .. } => NOT,
        _ => return None,
    })
}
