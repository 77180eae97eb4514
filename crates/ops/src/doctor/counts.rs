//! How many rows a shared account would see, and how many one role sees. Counts alone; no value of a row is asked for.

use asuser_postgres::PgError;

use super::facts::ServiceFacts;
use super::report::{Count, Counts, Seen};
use crate::quote::{array, identifier, qualified};
use crate::{Operator, OpsError};

const TABLES_MAX: usize = 200;
const COUNT_MS_MAX: u32 = 3_000;

struct Table {
    schema: String,
    name: String,
    estimate: u64,
    /// The operator sees all its rows.
    whole: bool,
    /// What counting as somebody else would run: functions outside of pg_catalog behind its policies.
    functions: Option<String>,
}

pub(super) async fn count(
    operator: &mut Operator,
    facts: &ServiceFacts,
    role: Option<&str>,
) -> Result<Counts, OpsError> {
    if let Some(role) = role {
        may_become(operator, role).await?;
    }
    let mut tables = read(operator, facts).await?;
    let left_out = tables.len().saturating_sub(TABLES_MAX);
    tables.truncate(TABLES_MAX);
    let mut counted = Vec::new();
    for table in tables {
        let counted_rows = if table.whole { count_one(operator, &table, None).await? } else { Seen::Denied };
        let (total, estimated) =
            if let Seen::Rows(rows) = counted_rows { (rows, false) } else { (table.estimate, true) };
        let seen = match (role, &table.functions) {
            (None, _) => None,
            // Those functions would run in this session, and could take back what it is.
            (Some(_), Some(functions)) if operator.is_superuser() => Some(Seen::Unknown(format!(
                "its policies call {functions}, which a superuser's session should not run"
            ))),
            (Some(role), _) => Some(count_one(operator, &table, Some(role)).await?),
        };
        counted.push(Count { table: format!("{}.{}", table.schema, table.name), total, estimated, seen });
    }
    Ok(Counts { role: role.map(str::to_owned), tables: counted, left_out })
}

async fn may_become(operator: &mut Operator, role: &str) -> Result<(), OpsError> {
    let how = if operator.version() >= 160_000 { "SET" } else { "MEMBER" };
    let sql = format!("SELECT pg_has_role(current_user, r.oid, '{how}') FROM pg_roles r WHERE r.rolname = $1");
    let rows = operator.rows("looking for the role", &sql, &[Some(role)]).await?;
    match rows.first().and_then(|row| row.get(0)) {
        Some("t") => Ok(()),
        Some(_) => Err(OpsError::Refused(format!(
            "{} may not become {}: GRANT it, or run this as another operator",
            identifier(operator.name()),
            identifier(role)
        ))),
        None => Err(OpsError::Refused(format!("there is no role {}", identifier(role)))),
    }
}

async fn read(operator: &mut Operator, facts: &ServiceFacts) -> Result<Vec<Table>, OpsError> {
    // Tables only: counting a view would run what it calls with the operator's rights.
    let sql = "SELECT n.nspname, c.relname, greatest(c.reltuples, 0)::bigint,
            has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid),
            (WITH RECURSIVE depends(rel, class, object) AS (
                    SELECT p.polrelid, d.refclassid, d.refobjid FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                    UNION ALL SELECT r.ev_class, d.refclassid, d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                ), behind(rel) AS (
                    SELECT c.oid UNION SELECT d.object FROM behind b JOIN depends d ON d.rel = b.rel AND d.class = 'pg_class'::regclass)
                SELECT string_agg(DISTINCT f.oid::regprocedure::text, ', ') FROM behind b JOIN depends d ON d.rel = b.rel
                    LEFT JOIN pg_operator o ON d.class = 'pg_operator'::regclass AND o.oid = d.object
                    JOIN pg_proc f ON f.oid = CASE d.class WHEN 'pg_proc'::regclass THEN d.object WHEN 'pg_operator'::regclass THEN o.oprcode END
                WHERE f.pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'asuser')))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY ($1::text[]) ORDER BY 1, 2";
    let rows = operator.rows("reading tables", sql, &[Some(&array(&facts.schemas))]).await?;
    let tables = rows.iter().map(|row| Table {
        schema: row.get(0).unwrap_or_default().to_owned(),
        name: row.get(1).unwrap_or_default().to_owned(),
        estimate: row.get(2).and_then(|rows| rows.parse().ok()).unwrap_or_default(),
        whole: row.get(3) == Some("t"),
        functions: row.get(4).map(str::to_owned),
    });
    Ok(tables.collect())
}

async fn count_one(operator: &mut Operator, table: &Table, role: Option<&str>) -> Result<Seen, OpsError> {
    const DOING: &str = "counting";
    operator.run(DOING, &format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {COUNT_MS_MAX}")).await?;
    if let Some(role) = role {
        operator.rows(DOING, "SELECT set_config('role', $1, true)", &[Some(role)]).await?;
    }
    let sql = format!("SELECT count(*) FROM {}", qualified(&table.schema, &table.name));
    let counted = operator.try_rows(&sql, &[]).await;
    operator.run(DOING, "ROLLBACK").await?;
    match counted {
        Ok(rows) => {
            let number = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
            number.map(Seen::Rows).ok_or(OpsError::Answer(DOING))
        }
        Err(error) => match error.code() {
            Some("42501") => Ok(Seen::Denied),
            Some("57014") => Ok(Seen::Unknown("it takes too long".to_owned())),
            // A policy that errs for this role: what it says may name values.
            Some(code) => Ok(Seen::Unknown(format!("the database says {code}"))),
            None => Err(failed(DOING, error)),
        },
    }
}

const fn failed(doing: &'static str, error: PgError) -> OpsError {
    OpsError::Statement { doing, error }
}
