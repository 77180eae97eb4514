//! A request meets its table: names become places, values take the column's form, and what policy denies is refused.
//!
//! In: the table, how each column reads for this caller, the rows that exist for them, the request, the service's limits.
//! Out: a [`ReadSpec`]. Pure. Refused: an unknown column (400), a denied one wherever it is named (403), a value or key that does
//! not fit (400).
//!
//! - Names are compared exactly; a near one is suggested, only among the columns that the caller may read.
//! - `*` leaves denied columns out; if none is left, 403.
//! - `ids` and the path's key become part of the condition, so they see what the caller sees: a masked key is found by its mask.
//! - The order ends with the primary key where all its columns are clear, so that pages do not overlap. Else it ends with what is
//!   shown, so that it tells nothing of what is not.
//! - A key that the caller may not read is no key for them; its columns are not named.

use std::sync::Arc;

use asuser_core::{
    AggregateFunction, Column, ColumnAccess, ColumnIx, ColumnKind, ColumnName, CompareOp, Condition, Fields, Filter,
    OrderTerm, OutputColumn, ReadRequest, ReadSpec, RecordKey, Table, TableRef, Test, TestKind,
};

use crate::dialect::shortened;
use crate::error::{Place, PlanError};
use crate::fit;

/// Deeper conditions than the dialect can write (64 levels of at most three nodes); other faces obey the same limit.
const DEPTH_MAX: usize = 200;
const NODES_MAX: usize = 500;
const IDS_MAX: usize = 1_000;

/// What a service lets one read cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Records in one answer: the default limit, and the most. 0 counts as 1.
    pub max_records: u64,
    /// Bytes of JSON in one answer.
    pub bytes_max: usize,
    /// Milliseconds in the database.
    pub time_ms_max: u64,
}

type Resolved = Condition<ColumnIx>;

/// Resolves a read. `access` holds one entry for each column of the table.
pub(crate) fn resolve(
    table: &Arc<Table>,
    access: &[ColumnAccess],
    row_filter: &Filter,
    request: &ReadRequest,
    limits: &ServiceLimits,
) -> Result<ReadSpec, PlanError> {
    if access.len() != table.columns.len() {
        return Err(PlanError::Inconsistent { detail: "a decision does not cover each column of its table" });
    }
    let seen = Seen { table, access };
    let named = seen.fields(&request.fields)?;
    // A denied column is refused wherever it is named, even where nothing asks for a key.
    request.id_field.iter().try_for_each(|name| seen.column(name, Place::of("id_field")).map(|_| ()))?;
    let output = if request.as_list { seen.key(request)? } else { named };
    let mut nodes = 0;
    let asked = request.condition.as_ref().map(|asked| seen.condition(asked, 0, &mut nodes)).transpose()?;
    let condition = all([seen.path_key(request)?, seen.ids(request)?, asked]);
    let (order, order_asked) = seen.order(request)?;
    let most = if request.key.is_some() { 1 } else { limits.max_records.max(1) };
    Ok(ReadSpec {
        output: seen.output(&output)?,
        condition,
        order,
        order_asked,
        order_by_shown: !seen.key_is_shown(|column| !column.nullable),
        limit: request.limit.unwrap_or(most).clamp(1, most),
        offset: request.offset,
        count: request.include_count,
        as_list: request.as_list,
        bytes_max: limits.bytes_max,
        time_ms_max: limits.time_ms_max,
        table: TableRef(Arc::clone(table)),
        access: access.to_vec(),
        row_filter: row_filter.clone(),
    })
}

/// A condition over a table.
pub(crate) fn condition(
    table: &Table,
    access: &[ColumnAccess],
    asked: Option<&Condition<ColumnName>>,
) -> Result<Option<Resolved>, PlanError> {
    let mut nodes = 0;
    asked.map(|asked| Seen { table, access }.condition(asked, 0, &mut nodes)).transpose()
}

/// A column that a request names.
pub(crate) fn named(
    table: &Table,
    access: &[ColumnAccess],
    name: &ColumnName,
    parameter: &'static str,
) -> Result<(), PlanError> {
    Seen { table, access }.column(name, Place::of(parameter)).map(|_| ())
}

/// A column that an aggregate is computed over.
pub(crate) fn aggregated(
    table: &Table,
    access: &[ColumnAccess],
    name: &ColumnName,
    function: AggregateFunction,
) -> Result<(), PlanError> {
    let seen = Seen { table, access };
    let (_, column) = seen.column(name, Place::of("aggregates"))?;
    let function = match function {
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        _ => return Ok(()),
    };
    match column.kind {
        ColumnKind::Integer | ColumnKind::Decimal | ColumnKind::Float | ColumnKind::Other => Ok(()),
        _ => Err(PlanError::NotANumber { function, column: name.to_string() }),
    }
}

/// A table as one caller sees it.
struct Seen<'a> {
    table: &'a Table,
    access: &'a [ColumnAccess],
}

impl Seen<'_> {
    fn fields(&self, fields: &Fields) -> Result<Vec<ColumnIx>, PlanError> {
        match fields {
            Fields::All => {
                let all: Vec<ColumnIx> = self.readable().map(|(ix, _)| ix).collect();
                if all.is_empty() {
                    return Err(PlanError::NoReadableColumn { table: self.table.name.to_string() });
                }
                Ok(all)
            }
            Fields::Named(names) => {
                let mut columns = Vec::with_capacity(names.len());
                for name in names {
                    let (ix, _) = self.column(name, Place::of("fields"))?;
                    if !columns.contains(&ix) {
                        columns.push(ix);
                    }
                }
                Ok(columns)
            }
        }
    }

    fn output(&self, columns: &[ColumnIx]) -> Result<Vec<OutputColumn>, PlanError> {
        if columns.is_empty() {
            return Err(PlanError::Inconsistent { detail: "a request names no field" });
        }
        let named = |ix: &ColumnIx| {
            let column = self.table.column(*ix)?;
            Some(OutputColumn { name: column.name.to_string(), column: *ix })
        };
        columns.iter().map(named).collect::<Option<_>>().ok_or(BEYOND)
    }

    fn condition(&self, asked: &Condition<ColumnName>, depth: usize, nodes: &mut usize) -> Result<Resolved, PlanError> {
        *nodes += 1;
        if *nodes > NODES_MAX || depth > DEPTH_MAX {
            return Err(PlanError::TooComplex { limit: "500 tests and connectives, 200 deep" });
        }
        let mut inner = |part: &Condition<ColumnName>| self.condition(part, depth + 1, nodes);
        Ok(match asked {
            Condition::All(parts) | Condition::Any(parts) if parts.is_empty() => {
                return Err(PlanError::Inconsistent { detail: "a condition joins nothing" });
            }
            Condition::All(parts) => Condition::All(parts.iter().map(inner).collect::<Result<_, _>>()?),
            Condition::Any(parts) => Condition::Any(parts.iter().map(inner).collect::<Result<_, _>>()?),
            Condition::Not(part) => Condition::Not(Box::new(inner(part)?)),
            Condition::Xor(left, right) => Condition::Xor(Box::new(inner(left)?), Box::new(inner(right)?)),
            Condition::Test(test) => {
                let place = Place { parameter: "filter", position: (test.at > 0).then_some(test.at) };
                let (ix, column) = self.column(&test.column, place)?;
                Condition::Test(Test { column: ix, at: test.at, kind: fit::test(column, &test.kind, place)? })
            }
        })
    }

    fn path_key(&self, request: &ReadRequest) -> Result<Option<Resolved>, PlanError> {
        let Some(key) = &request.key else { return Ok(None) };
        let columns = self.key(request)?;
        self.record(&columns, key, Place::of("id")).map(Some)
    }

    fn ids(&self, request: &ReadRequest) -> Result<Option<Resolved>, PlanError> {
        if request.ids.is_empty() {
            return Ok(None);
        }
        if request.ids.len() > IDS_MAX {
            return Err(PlanError::TooComplex { limit: "1,000 ids" });
        }
        let columns = self.key(request)?;
        let place = Place::of("ids");
        if let [column] = columns.as_slice() {
            // One list rather than a thousand alternatives: every database plans it better.
            let mut values = Vec::with_capacity(request.ids.len());
            for key in &request.ids {
                let value = key.0.first().filter(|_| key.0.len() == 1).ok_or_else(|| self.arity(&columns, key))?;
                values.push(fit::literal(self.at(*column)?, value, place)?);
            }
            return Ok(Some(test(*column, TestKind::In(values))));
        }
        let records = request.ids.iter().map(|key| self.record(&columns, key, place));
        Ok(any(records.collect::<Result<_, _>>()?))
    }

    fn record(&self, columns: &[ColumnIx], key: &RecordKey, place: Place) -> Result<Resolved, PlanError> {
        if columns.len() != key.0.len() {
            return Err(self.arity(columns, key));
        }
        let mut tests = Vec::with_capacity(columns.len());
        for (ix, value) in columns.iter().zip(&key.0) {
            let fitted = fit::literal(self.at(*ix)?, value, place)?;
            tests.push(Some(test(*ix, TestKind::Compare(CompareOp::Eq, fitted))));
        }
        all(tests).ok_or(PlanError::Inconsistent { detail: "a key has no column" })
    }

    /// The columns that `ids`, the path and `as_list` mean. To a caller who names none, a key that they may not read is like none.
    fn key(&self, request: &ReadRequest) -> Result<Vec<ColumnIx>, PlanError> {
        if let Some(name) = &request.id_field {
            return self.column(name, Place::of("id_field")).map(|(ix, _)| vec![ix]);
        }
        let key = &self.table.primary_key;
        if key.is_empty() || !key.iter().all(|ix| self.readable().any(|(readable, _)| readable == *ix)) {
            return Err(PlanError::NoKey { table: self.table.name.to_string() });
        }
        Ok(key.clone())
    }

    /// There is a key, and each column of it is clear and like this.
    fn key_is_shown(&self, like: impl Fn(&Column) -> bool) -> bool {
        let key = &self.table.primary_key;
        let clear = |ix: &ColumnIx| matches!(self.access.get(usize::from(ix.0)), Some(ColumnAccess::Clear));
        !key.is_empty() && key.iter().all(|ix| clear(ix) && self.table.column(*ix).is_some_and(&like))
    }

    /// The order, and how many of its terms were asked for.
    fn order(&self, request: &ReadRequest) -> Result<(Vec<OrderTerm>, usize), PlanError> {
        let mut terms: Vec<OrderTerm> = Vec::new();
        for asked in &request.order {
            let (column, _) = self.column(&asked.column, Place::of("order"))?;
            // A second term on the same column decides nothing.
            if terms.iter().all(|term| term.column != column) {
                terms.push(OrderTerm { column, descending: asked.descending, nulls_first: asked.nulls_first });
            }
        }
        let asked = terms.len();
        if self.key_is_shown(|_| true) {
            for column in &self.table.primary_key {
                if terms.iter().all(|term| term.column != *column) {
                    terms.push(OrderTerm { column: *column, descending: false, nulls_first: None });
                }
            }
        }
        Ok((terms, asked))
    }

    /// The column with exactly this name, if the caller may read it.
    fn column(&self, name: &ColumnName, place: Place) -> Result<(ColumnIx, &Column), PlanError> {
        let table = self.table.name.to_string();
        let Some(ix) = self.table.column_ix(name.as_str()) else {
            let suggestion = self.nearest(name.as_str());
            return Err(PlanError::NoSuchColumn { name: shortened(name.as_str()), table, suggestion, place });
        };
        match self.access.get(usize::from(ix.0)) {
            Some(ColumnAccess::Clear | ColumnAccess::Masked { .. }) => Ok((ix, self.at(ix)?)),
            Some(ColumnAccess::Denied) | None => Err(PlanError::ColumnDenied { name: name.to_string(), table, place }),
        }
    }

    fn at(&self, ix: ColumnIx) -> Result<&Column, PlanError> {
        self.table.column(ix).ok_or(BEYOND)
    }

    fn readable(&self) -> impl Iterator<Item = (ColumnIx, &Column)> {
        let places = (0..=u16::MAX).map(ColumnIx);
        places.zip(&self.table.columns).zip(self.access).filter_map(|(named, access)| match access {
            ColumnAccess::Denied => None,
            ColumnAccess::Clear | ColumnAccess::Masked { .. } => Some(named),
        })
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let asked: String = name.chars().take(64).collect::<String>().to_lowercase();
        self.readable()
            .map(|(_, column)| column.name.as_str())
            .map(|known| (strsim::damerau_levenshtein(&asked, &known.to_lowercase()), known))
            .filter(|(distance, known)| *distance <= known.chars().count().div_ceil(3))
            .min()
            .map(|(_, known)| known.to_owned())
    }

    fn arity(&self, columns: &[ColumnIx], key: &RecordKey) -> PlanError {
        let names: Vec<&str> =
            columns.iter().filter_map(|ix| self.table.column(*ix)).map(|column| column.name.as_str()).collect();
        PlanError::KeyArity {
            table: self.table.name.to_string(),
            wanted: columns.len(),
            columns: names.join(", "),
            found: key.0.len(),
        }
    }
}

const BEYOND: PlanError = PlanError::Inconsistent { detail: "a place beyond the table's columns" };

/// A test that no position in a filter belongs to.
const fn test(column: ColumnIx, kind: TestKind) -> Resolved {
    Condition::Test(Test { column, at: 0, kind })
}

/// What is there, joined by AND; a list of one is itself.
fn all(parts: impl IntoIterator<Item = Option<Resolved>>) -> Option<Resolved> {
    let mut parts: Vec<Resolved> = parts.into_iter().flatten().collect();
    if parts.len() > 1 { Some(Condition::All(parts)) } else { parts.pop() }
}

/// The parts, joined by OR; a list of one is itself.
fn any(mut parts: Vec<Resolved>) -> Option<Resolved> {
    if parts.len() > 1 { Some(Condition::Any(parts)) } else { parts.pop() }
}
