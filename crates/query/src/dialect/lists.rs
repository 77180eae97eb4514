//! Comma lists: `fields`, `order`, `ids`, and the key in the path.
//!
//! A column that holds anything but letters, digits and the like stands in double quotes, backticks or brackets, the closing
//! mark doubled inside; in `fields` spaces within a name need no quotes. A key's value that holds a comma or a parenthesis, or
//! begins with a quote, stands in single or double quotes.

use asuser_core::{Aggregate, AggregateFunction, ColumnName, Fields, Literal, Order, RecordKey};

use super::cursor::Cursor;
use super::error::{DialectError, Found, Syntax};

const FIELDS_MAX: usize = 2_000;
const ORDER_MAX: usize = 32;
const IDS_MAX: usize = 1_000;
const KEY_COLUMNS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 16 * 1024;

/// `*` alone, or columns in the order of the answer; a column named twice is answered once.
pub(super) fn fields(text: &str) -> Result<Fields, DialectError> {
    if text.trim() == "*" {
        return Ok(Fields::All);
    }
    names("fields", text).map(Fields::Named)
}

/// Columns, each once.
pub(super) fn names(parameter: &'static str, text: &str) -> Result<Vec<ColumnName>, DialectError> {
    let mut list = List::new(parameter, text);
    let mut names: Vec<ColumnName> = Vec::new();
    loop {
        let name = list.column(Spaces::Inside)?;
        if !names.contains(&name) {
            names.push(name);
        }
        if !list.more()? {
            return Ok(names);
        }
        list.room(names.len(), FIELDS_MAX, "2,000 columns")?;
    }
}

/// `region, SUM(amount), COUNT(*)`: columns, and what is computed.
pub(super) fn aggregates(text: &str) -> Result<(Vec<ColumnName>, Vec<Aggregate>), DialectError> {
    let mut list = List::new("fields", text);
    let (mut names, mut aggregates) = (Vec::new(), Vec::new());
    loop {
        match list.function()? {
            Some(function) => aggregates.push(list.aggregate(function)?),
            None => names.push(list.column(Spaces::End)?),
        }
        if !list.more()? {
            return Ok((names, aggregates));
        }
        list.room(names.len() + aggregates.len(), ORDER_MAX, "32 columns and functions")?;
    }
}

/// `field [asc|desc] [nulls first|last]`
pub(super) fn order(text: &str) -> Result<Vec<Order>, DialectError> {
    let mut list = List::new("order", text);
    let mut terms = Vec::new();
    loop {
        let column = list.column(Spaces::End)?;
        let descending = match list.word("asc") {
            true => false,
            false => list.word("desc"),
        };
        let nulls_first = if list.word("nulls") {
            match (list.word("first"), list.word("last")) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => return Err(list.unexpected(&["FIRST", "LAST"])),
            }
        } else {
            None
        };
        terms.push(Order { column, descending, nulls_first });
        if !list.more()? {
            return Ok(terms);
        }
        list.room(terms.len(), ORDER_MAX, "32 columns")?;
    }
}

/// `1,2,3`, or `(1,EU),(2,US)` where the key has several columns.
pub(super) fn ids(text: &str) -> Result<Vec<RecordKey>, DialectError> {
    let mut list = List::new("ids", text);
    let mut keys = Vec::new();
    loop {
        keys.push(list.record_key()?);
        if !list.more()? {
            return Ok(keys);
        }
        list.room(keys.len(), IDS_MAX, "1,000 records")?;
    }
}

/// The key in the path: `7`, or `7,EU` in key order.
pub(super) fn path_key(text: &str) -> Result<RecordKey, DialectError> {
    if text.len() > KEY_BYTES_MAX {
        return Err(DialectError::TooComplex { parameter: "id", limit: "16 KiB", position: None });
    }
    let mut list = List::new("id", text);
    let mut values = Vec::new();
    loop {
        values.push(list.key_value(&[','])?);
        if !list.more()? {
            return Ok(RecordKey(values));
        }
        list.room(values.len(), KEY_COLUMNS_MAX, "64 key columns")?;
    }
}

/// What a space does to a name without quotes.
#[derive(Clone, Copy, PartialEq)]
enum Spaces {
    /// Belongs to it.
    Inside,
    /// Ends it.
    End,
}

struct List {
    parameter: &'static str,
    cursor: Cursor,
}

impl List {
    fn new(parameter: &'static str, text: &str) -> Self {
        Self { parameter, cursor: Cursor::new(text) }
    }

    fn column(&mut self, spaces: Spaces) -> Result<ColumnName, DialectError> {
        self.cursor.skip_space();
        let at = self.cursor.position();
        let (name, empty) = match self.cursor.peek() {
            Some(mark @ ('"' | '`' | '[')) => {
                (self.quoted(if mark == '[' { ']' } else { mark })?, Found::Thing("an empty name"))
            }
            _ => (self.bare_column(spaces)?, self.found()),
        };
        if name.is_empty() {
            return Err(self.syntax(at, empty, &["a column"]));
        }
        self.cursor.skip_space();
        Ok(name.into())
    }

    /// `SUM(`, if it comes next.
    fn function(&mut self) -> Result<Option<AggregateFunction>, DialectError> {
        self.cursor.skip_space();
        let word: String =
            (0..16).map_while(|ahead| self.cursor.peek_at(ahead)).take_while(|c| c.is_ascii_alphabetic()).collect();
        let length = word.chars().count();
        if self.cursor.peek_at(length) != Some('(') {
            return Ok(None);
        }
        let function = match word.to_ascii_uppercase().as_str() {
            "COUNT" => AggregateFunction::Count,
            "SUM" => AggregateFunction::Sum,
            "AVG" => AggregateFunction::Avg,
            "MIN" => AggregateFunction::Min,
            "MAX" => AggregateFunction::Max,
            _ => return Err(self.unexpected(&["COUNT", "SUM", "AVG", "MIN", "MAX", "a column"])),
        };
        for _ in 0..=length {
            self.cursor.bump();
        }
        self.cursor.skip_space();
        Ok(Some(function))
    }

    /// What stands between the parentheses. The name of the value is DreamFactory's: `SUM_amount`, `COUNT_ALL`.
    fn aggregate(&mut self, function: AggregateFunction) -> Result<Aggregate, DialectError> {
        let shown = match function {
            AggregateFunction::Count | AggregateFunction::CountDistinct => "COUNT",
            AggregateFunction::Sum => "SUM",
            AggregateFunction::Avg => "AVG",
            AggregateFunction::Min => "MIN",
            AggregateFunction::Max => "MAX",
        };
        let is_distinct = function == AggregateFunction::Count && self.word("distinct");
        let (function, column, name) = if !is_distinct && self.cursor.eat('*') {
            self.cursor.skip_space();
            (function, None, format!("{shown}_ALL"))
        } else {
            let column = self.column(Spaces::Inside)?;
            let name = if is_distinct { format!("{shown}_DISTINCT_{column}") } else { format!("{shown}_{column}") };
            (if is_distinct { AggregateFunction::CountDistinct } else { function }, Some(column), name)
        };
        if !self.cursor.eat(')') {
            return Err(self.unexpected(&["`)`"]));
        }
        self.cursor.skip_space();
        Ok(Aggregate { function, column, name })
    }

    fn bare_column(&mut self, spaces: Spaces) -> Result<String, DialectError> {
        let name = self.cursor.take_while(|c| {
            !matches!(c, ',' | '"' | '`' | '\'' | '[' | ']' | '(' | ')' | '\\' | '*' | ';' | '.')
                && !c.is_control()
                && (spaces == Spaces::Inside || !c.is_whitespace())
        });
        match self.cursor.peek() {
            Some('(') => Err(self.not_served("a function such as SUM or COUNT")),
            Some('.') => Err(self.not_served("a column of a related table")),
            Some('*') => Err(self.unexpected(&["a column (`*` stands alone in `fields`)"])),
            _ => Ok(name.trim_end().to_owned()),
        }
    }

    fn record_key(&mut self) -> Result<RecordKey, DialectError> {
        self.cursor.skip_space();
        if !self.cursor.eat('(') {
            return Ok(RecordKey(vec![self.key_value(&[',', '(', ')'])?]));
        }
        let mut values = Vec::new();
        loop {
            self.room(values.len(), KEY_COLUMNS_MAX, "64 key columns")?;
            values.push(self.key_value(&[',', '(', ')'])?);
            if self.cursor.eat(')') {
                self.cursor.skip_space();
                return Ok(RecordKey(values));
            }
            if !self.cursor.eat(',') {
                return Err(self.unexpected(&["`,`", "`)`"]));
            }
        }
    }

    /// A key's value is text until it meets its column.
    fn key_value(&mut self, ends: &[char]) -> Result<Literal, DialectError> {
        self.cursor.skip_space();
        let at = self.cursor.position();
        let text = match self.cursor.peek() {
            Some(mark @ ('"' | '\'')) => self.quoted(mark)?,
            _ => {
                let text = self.cursor.take_while(|c| !ends.contains(&c) && c != '\0').trim_end().to_owned();
                if text.is_empty() {
                    return Err(self.syntax(at, self.found(), &["a key"]));
                }
                text
            }
        };
        self.cursor.skip_space();
        Ok(Literal::Text(text))
    }

    fn quoted(&mut self, close: char) -> Result<String, DialectError> {
        let at = self.cursor.position();
        self.cursor.bump();
        match self.cursor.quoted(close) {
            None => Err(self.syntax(at, Found::Thing("an opening mark"), &["its closing mark"])),
            Some(text) if text.contains('\0') => {
                Err(self.syntax(at, Found::Thing("a text with a NUL character"), &["a text without one"]))
            }
            Some(text) => Ok(text),
        }
    }

    /// Steps over the word, in any case, if it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        let length = wanted.chars().count();
        let same = wanted
            .chars()
            .enumerate()
            .all(|(ahead, c)| self.cursor.peek_at(ahead).is_some_and(|found| found.eq_ignore_ascii_case(&c)));
        let ends = self.cursor.peek_at(length).is_none_or(|c| c == ',' || c.is_whitespace());
        if same && ends {
            for _ in 0..length {
                self.cursor.bump();
            }
            self.cursor.skip_space();
        }
        same && ends
    }

    /// A comma goes on, the end ends.
    fn more(&mut self) -> Result<bool, DialectError> {
        match self.cursor.peek() {
            None => Ok(false),
            Some(',') => {
                self.cursor.bump();
                Ok(true)
            }
            Some(_) => Err(self.unexpected(&["`,`", "the end"])),
        }
    }

    fn room(&self, held: usize, most: usize, limit: &'static str) -> Result<(), DialectError> {
        if held < most {
            return Ok(());
        }
        Err(DialectError::TooComplex { parameter: self.parameter, limit, position: Some(self.cursor.position()) })
    }

    fn found(&self) -> Found {
        self.cursor.peek().map_or(Found::Thing("the end"), |c| Found::word(&c.to_string()))
    }
    fn unexpected(&self, expected: &'static [&'static str]) -> DialectError {
        self.syntax(self.cursor.position(), self.found(), expected)
    }
    fn syntax(&self, position: u32, found: Found, expected: &'static [&'static str]) -> DialectError {
        Syntax { parameter: self.parameter, position, found, expected }.into()
    }
    fn not_served(&self, what: &str) -> DialectError {
        DialectError::NotServed {
            what: what.to_owned(),
            parameter: self.parameter.to_owned(),
            position: Some(self.cursor.position()),
        }
    }
}
