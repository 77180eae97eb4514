//! The filter grammar: text in, a tree out whose every test knows its position. Nothing of the text reaches SQL: names are
//! looked up later, values are bound.
//!
//! ```text
//! filter  = xors { (OR | "||") xors } | xors NOR xors
//! xors    = ands { XOR ands }
//! ands    = term { (AND | "&&") term }
//! term    = NOT term | "(" filter ")" | column [NOT] test
//! test    = ("=" | EQ | "!=" | "<>" | NE | ">" | GT | ">=" | GTE | "<" | LT | "<=" | LTE) value
//!         | IN "(" value { "," value } ")" | BETWEEN value AND value
//!         | (LIKE | CONTAINS | STARTS WITH | ENDS WITH) value | IS [NOT] NULL
//! column  = identifier | "`" … "`" | "[" … "]"         the closing mark doubled inside
//! value   = "'" … "'" | '"' … '"' | number | true | false | null | ":" identifier
//! ```
//!
//! - Keywords are read in any case. NOT binds tightest, then AND, XOR, OR. `a NOR b` is NOT (a OR b); it stands as low as OR,
//!   and beside another OR or NOR it needs parentheses, since readers differ on what it would mean.
//! - A double-quoted thing is a value, as in DreamFactory; a column with an odd name stands in backticks or brackets.
//!   AND OR NOT NOR XOR TRUE FALSE NULL are no columns without them; other keywords are.
//! - `= null` means IS NULL and `!= null` IS NOT NULL; `null` elsewhere is refused.
//! - In LIKE `%` and `_` are wildcards and a backslash makes the next character literal; at the end it is refused.
//! - Refused, with the position: what does not parse, more than 64 levels, 500 nodes, 1,000 values in a list, 16 KiB.

use std::collections::BTreeMap;

use asuser_core::{ColumnName, CompareOp, Condition, Literal, Test, TestKind};

use super::cursor::Cursor;
use super::error::{DialectError, Syntax, shortened};
use super::lexer::{Token, token};

const LEVELS_MAX: usize = 64;
const NODES_MAX: usize = 500;
const VALUES_MAX: usize = 1_000;

type Tree = Condition<ColumnName>;

const TERM: &[&str] = &["a column", "NOT", "`(`"];
const OPERATOR: &[&str] = &["a comparison such as =, IN, LIKE, BETWEEN or IS NULL"];
const VALUE: &[&str] = &["a value: text in quotes, a number, true, false, null or :name"];
const AFTER_TERM: &[&str] = &["AND", "OR", "XOR", "NOR", "the end"];
const AFTER_TERM_INSIDE: &[&str] = &["AND", "OR", "XOR", "NOR", "`)`"];
const NO_COLUMNS: &[&str] = &["and", "or", "not", "nor", "xor", "true", "false", "null"];

/// Parses a filter, with the values for its `:names`.
pub(super) fn parse(text: &str, params: &BTreeMap<String, Literal>) -> Result<Tree, DialectError> {
    let mut cursor = Cursor::new(text);
    let (next, at) = token(&mut cursor)?;
    let mut parser = Parser { cursor, next, at, params, level: 0, nodes: 0 };
    let tree = parser.filter()?;
    if parser.next != Token::End {
        return Err(parser.unexpected(AFTER_TERM));
    }
    Ok(tree)
}

struct Parser<'a> {
    cursor: Cursor,
    next: Token,
    /// Where `next` begins.
    at: u32,
    params: &'a BTreeMap<String, Literal>,
    level: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn filter(&mut self) -> Result<Tree, DialectError> {
        let mut parts = vec![self.xors()?];
        if self.keyword("nor")? {
            parts.push(self.xors()?);
            self.node()?;
            if self.is_word("or") || self.is_word("nor") || self.next == Token::Sign("||") {
                return Err(self.unexpected(&["parentheses around a NOR beside another OR or NOR"]));
            }
            self.node()?;
            return Ok(Tree::Not(Box::new(Tree::Any(parts))));
        }
        while self.keyword("or")? || self.sign("||")? {
            parts.push(self.xors()?);
            if self.is_word("nor") {
                return Err(self.unexpected(&["parentheses around a NOR beside another OR or NOR"]));
            }
        }
        self.list(parts, Tree::Any)
    }

    /// XOR is associative, so the chain nests to the right, where each step is a level.
    fn xors(&mut self) -> Result<Tree, DialectError> {
        let mut parts = vec![self.ands()?];
        let outer = self.level;
        while self.keyword("xor")? {
            self.enter()?;
            self.node()?;
            parts.push(self.ands()?);
        }
        self.level = outer;
        let last = parts.pop().ok_or_else(|| self.unexpected(TERM))?;
        Ok(parts.into_iter().rev().fold(last, |right, left| Tree::Xor(Box::new(left), Box::new(right))))
    }

    fn ands(&mut self) -> Result<Tree, DialectError> {
        let mut parts = vec![self.term()?];
        while self.keyword("and")? || self.sign("&&")? {
            parts.push(self.term()?);
        }
        self.list(parts, Tree::All)
    }

    fn term(&mut self) -> Result<Tree, DialectError> {
        let nested = if self.is_word("not") {
            self.enter()?;
            self.bump()?;
            self.node()?;
            Some(Tree::Not(Box::new(self.term()?)))
        } else if self.next == Token::Sign("(") {
            self.enter()?;
            self.bump()?;
            let inner = self.filter()?;
            if !self.sign(")")? {
                return Err(self.unexpected(AFTER_TERM_INSIDE));
            }
            Some(inner)
        } else {
            None
        };
        match nested {
            Some(tree) => {
                self.level -= 1;
                Ok(tree)
            }
            None => self.test(),
        }
    }

    fn test(&mut self) -> Result<Tree, DialectError> {
        let (column, at) = self.column()?;
        let negated = self.keyword("not")?;
        let kind = self.test_kind()?;
        self.node()?;
        let test = Tree::Test(Test { column, at, kind });
        if !negated {
            return Ok(test);
        }
        self.node()?;
        Ok(Tree::Not(Box::new(test)))
    }

    fn column(&mut self) -> Result<(ColumnName, u32), DialectError> {
        let at = self.at;
        let name = match &self.next {
            Token::Name(name) => name.clone(),
            Token::Word(word) if !NO_COLUMNS.iter().any(|no| word.eq_ignore_ascii_case(no)) => word.clone(),
            _ => return Err(self.unexpected(TERM)),
        };
        self.bump()?;
        if self.next == Token::Sign(".") {
            return Err(self.not_served("a column of a related table"));
        }
        Ok((name.into(), at))
    }

    fn test_kind(&mut self) -> Result<TestKind, DialectError> {
        if let Some(op) = self.comparison()? {
            return self.compare(op);
        }
        if self.keyword("in")? {
            return self.values().map(TestKind::In);
        }
        if self.keyword("between")? {
            let low = self.value_not_null()?;
            if !self.keyword("and")? {
                return Err(self.unexpected(&["AND"]));
            }
            return Ok(TestKind::Between(low, self.value_not_null()?));
        }
        if self.keyword("like")? {
            return self.pattern().map(TestKind::Like);
        }
        if self.keyword("contains")? {
            return self.text().map(TestKind::Contains);
        }
        for (keyword, kind) in [
            ("starts", TestKind::StartsWith as fn(String) -> TestKind),
            ("ends", TestKind::EndsWith as fn(String) -> TestKind),
        ] {
            if self.keyword(keyword)? {
                if !self.keyword("with")? {
                    return Err(self.unexpected(&["WITH"]));
                }
                return self.text().map(kind);
            }
        }
        if self.keyword("is")? {
            let negated = self.keyword("not")?;
            if !self.keyword("null")? {
                return Err(self.unexpected(if negated { &["NULL"] } else { &["NULL", "NOT NULL"] }));
            }
            return Ok(if negated { TestKind::IsNotNull } else { TestKind::IsNull });
        }
        if self.is_word("regexp") || self.is_word("rlike") {
            return Err(self.not_served("REGEXP"));
        }
        Err(self.unexpected(OPERATOR))
    }

    fn comparison(&mut self) -> Result<Option<CompareOp>, DialectError> {
        let op = match &self.next {
            Token::Sign("=") => CompareOp::Eq,
            Token::Sign("!=" | "<>") => CompareOp::Ne,
            Token::Sign(">") => CompareOp::Gt,
            Token::Sign(">=") => CompareOp::Ge,
            Token::Sign("<") => CompareOp::Lt,
            Token::Sign("<=") => CompareOp::Le,
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "eq" => CompareOp::Eq,
                "ne" => CompareOp::Ne,
                "gt" => CompareOp::Gt,
                "gte" => CompareOp::Ge,
                "lt" => CompareOp::Lt,
                "lte" => CompareOp::Le,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.bump()?;
        Ok(Some(op))
    }

    fn compare(&mut self, op: CompareOp) -> Result<TestKind, DialectError> {
        let (value, position) = self.value()?;
        match (value, op) {
            (Literal::Null, CompareOp::Eq) => Ok(TestKind::IsNull),
            (Literal::Null, CompareOp::Ne) => Ok(TestKind::IsNotNull),
            (Literal::Null, _) => Err(DialectError::NullValue { position }),
            (value, op) => Ok(TestKind::Compare(op, value)),
        }
    }

    fn values(&mut self) -> Result<Vec<Literal>, DialectError> {
        if !self.sign("(")? {
            return Err(self.unexpected(&["`(`"]));
        }
        let mut values = vec![self.value_not_null()?];
        while self.sign(",")? {
            if values.len() == VALUES_MAX {
                return Err(self.too_complex("1,000 values in a list"));
            }
            values.push(self.value_not_null()?);
        }
        if !self.sign(")")? {
            return Err(self.unexpected(&["`,`", "`)`"]));
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<(Literal, u32), DialectError> {
        let at = self.at;
        let value = match &self.next {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(text) => number(text),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            Token::Parameter(name) => match self.params.get(name) {
                Some(value) => value.clone(),
                None => return Err(DialectError::UnboundName { name: shortened(name), position: at }),
            },
            _ => return Err(self.unexpected(VALUE)),
        };
        self.bump()?;
        Ok((value, at))
    }

    fn value_not_null(&mut self) -> Result<Literal, DialectError> {
        match self.value()? {
            (Literal::Null, position) => Err(DialectError::NullValue { position }),
            (value, _) => Ok(value),
        }
    }

    /// A text; a number stands for the text that it is written as.
    fn text(&mut self) -> Result<String, DialectError> {
        let (at, found) = (self.at, self.next.found());
        match self.value_not_null()? {
            Literal::Text(text) | Literal::Number(text) => Ok(text),
            Literal::Integer(number) => Ok(number.to_string()),
            Literal::Bool(_) | Literal::Null => {
                Err(Syntax { parameter: "filter", position: at, found, expected: &["text in quotes"] }.into())
            }
        }
    }

    fn pattern(&mut self) -> Result<String, DialectError> {
        let at = self.at;
        let pattern = self.text()?;
        // An odd run of backslashes at the end has nothing to make literal, and databases differ on it.
        if pattern.chars().rev().take_while(|&c| c == '\\').count() % 2 == 1 {
            let found = super::error::Found::Thing("a pattern that ends in a backslash");
            let expected = &["a doubled backslash, or a character after it"];
            return Err(Syntax { parameter: "filter", position: at, found, expected }.into());
        }
        Ok(pattern)
    }

    /// One part is itself, several are a node.
    fn list(&mut self, mut parts: Vec<Tree>, node: fn(Vec<Tree>) -> Tree) -> Result<Tree, DialectError> {
        if parts.len() > 1 {
            self.node()?;
            return Ok(node(parts));
        }
        parts.pop().ok_or_else(|| self.unexpected(TERM))
    }

    fn bump(&mut self) -> Result<(), DialectError> {
        (self.next, self.at) = token(&mut self.cursor)?;
        Ok(())
    }
    fn is_word(&self, keyword: &str) -> bool {
        matches!(&self.next, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
    fn keyword(&mut self, keyword: &str) -> Result<bool, DialectError> {
        let found = self.is_word(keyword);
        if found {
            self.bump()?;
        }
        Ok(found)
    }
    fn sign(&mut self, sign: &'static str) -> Result<bool, DialectError> {
        let found = self.next == Token::Sign(sign);
        if found {
            self.bump()?;
        }
        Ok(found)
    }
    fn enter(&mut self) -> Result<(), DialectError> {
        self.level += 1;
        if self.level > LEVELS_MAX { Err(self.too_complex("64 levels of NOT, XOR and parentheses")) } else { Ok(()) }
    }
    fn node(&mut self) -> Result<(), DialectError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX { Err(self.too_complex("500 tests and connectives")) } else { Ok(()) }
    }
    fn too_complex(&self, limit: &'static str) -> DialectError {
        DialectError::TooComplex { parameter: "filter", limit, position: Some(self.at) }
    }
    fn not_served(&self, what: &str) -> DialectError {
        DialectError::NotServed { what: what.to_owned(), parameter: "filter".to_owned(), position: Some(self.at) }
    }
    fn unexpected(&self, expected: &'static [&'static str]) -> DialectError {
        Syntax { parameter: "filter", position: self.at, found: self.next.found(), expected }.into()
    }
}

/// A number is an integer where nothing is lost by that, not even a leading zero.
pub(super) fn number(text: &str) -> Literal {
    match text.parse::<i64>() {
        Ok(whole) if whole.to_string() == text => Literal::Integer(whole),
        _ => Literal::Number(text.to_owned()),
    }
}
