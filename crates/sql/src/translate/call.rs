//! Function calls: which functions, with which arguments and clauses.

use sqlparser::ast;

use super::Translator;
use crate::error::cut;
use crate::functions;
use crate::tree::{Call, Expr, Ident, Over};
use crate::types::Type;
use crate::{At, SqlError};

/// A function whose result could be as long as a number says takes at most this one.
const COUNT_MAX: u32 = 10_000;

impl Call {
    pub(crate) fn of(name: &str, args: Vec<Expr>, at: At) -> Self {
        Self {
            schema: None,
            name: name.to_owned(),
            star: false,
            distinct: false,
            arg_names: Vec::new(),
            args,
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            over: None,
            at,
        }
    }
}

impl Translator<'_> {
    pub(super) fn function_expr(&mut self, function: ast::Function) -> Result<Expr, SqlError> {
        let ast::Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let quoted = name.0.iter().any(|part| part.as_ident().is_none_or(|ident| ident.quote_style.is_some()));
        let parts = self.name_parts(name)?;
        let at = parts.first().map_or_else(At::default, |part| part.at);
        if uses_odbc_syntax || parameters != ast::FunctionArguments::None || null_treatment.is_some() {
            return Err(SqlError::not_allowed(
                "this form of a function call is not allowed: write name(arguments)",
                at,
            ));
        }
        let bare = match parts.as_slice() {
            [name] if !quoted => name.text.to_ascii_lowercase(),
            _ => String::new(),
        };
        let plain = within_group.is_empty() && filter.is_none() && over.is_none();
        let list = match args {
            ast::FunctionArguments::None => return self.word(&bare, plain, at),
            ast::FunctionArguments::Subquery(query) if bare == "array" && plain && self.postgres() => {
                return Ok(Expr::ArrayQuery(Box::new(self.query(*query)?)));
            }
            // `f(SELECT …)`: PostgreSQL wants a second pair of brackets.
            ast::FunctionArguments::Subquery(_) => {
                return Err(SqlError::syntax("a subquery as an argument needs brackets of its own", at));
            }
            ast::FunctionArguments::List(list) => list,
        };
        let ast::FunctionArgumentList { duplicate_treatment, args, clauses } = list;
        if plain
            && duplicate_treatment.is_none()
            && clauses.is_empty()
            && let Some(form) = special(&bare, self.postgres())
        {
            return self.special(form, args, at);
        }
        let mut call = self.plain_call(parts, args)?;
        call.distinct = matches!(duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
        if call.star && (call.distinct || !clauses.is_empty()) {
            return Err(SqlError::syntax("the `*` of count(*) stands alone: name a column", at));
        }
        for clause in clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(list) if call.order_by.is_empty() => {
                    call.order_by = self.orders(list)?;
                }
                _ => return Err(SqlError::not_allowed("inside a call only ORDER BY can follow the arguments", at)),
            }
        }
        call.within_group = self.orders(within_group)?;
        call.filter = filter.map(|filter| self.expr(*filter)).transpose()?;
        call.over = match over {
            None => None,
            Some(ast::WindowType::NamedWindow(name)) => Some(Over::Named(self.ident(name)?)),
            Some(ast::WindowType::WindowSpec(spec)) => Some(Over::Window(self.window(spec)?)),
        };
        // What it gives can be compared with a string, which is then looked up as the name of a type, hidden or not.
        if call.schema.is_none() && call.name == "pg_typeof" {
            return Ok(Expr::Cast(Box::new(Expr::Call(Box::new(call))), Type::text()));
        }
        Ok(Expr::Call(Box::new(call)))
    }

    /// A word without brackets.
    fn word(&self, bare: &str, plain: bool, at: At) -> Result<Expr, SqlError> {
        match self.keyword(bare) {
            Some(keyword) if plain => Ok(Expr::Keyword(keyword)),
            _ => Err(SqlError::not_allowed(format!("`{}` is not allowed here", cut(bare)), at)),
        }
    }

    /// A call of a listed function.
    pub(super) fn plain_call(&mut self, parts: Vec<Ident>, args: Vec<ast::FunctionArg>) -> Result<Call, SqlError> {
        let at = parts.first().map_or_else(At::default, |part| part.at);
        let (schema, name) = self.listed(parts, at)?;
        let mut call = Call::of(&name, Vec::new(), at);
        call.schema = schema;
        for arg in args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    if !call.arg_names.is_empty() {
                        return Err(SqlError::syntax("a plain argument cannot follow a named one", at));
                    }
                    call.args.push(self.expr(expr)?);
                }
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => call.star = true,
                ast::FunctionArg::Named {
                    name,
                    arg: ast::FunctionArgExpr::Expr(expr),
                    operator: ast::FunctionArgOperator::RightArrow,
                }
                | ast::FunctionArg::ExprNamed {
                    name: ast::Expr::Identifier(name),
                    arg: ast::FunctionArgExpr::Expr(expr),
                    operator: ast::FunctionArgOperator::RightArrow,
                } if self.postgres() => {
                    call.arg_names.push(self.ident(name)?.text);
                    call.args.push(self.expr(expr)?);
                }
                _ => {
                    return Err(SqlError::not_allowed(
                        "this argument is not allowed: write values, or name => value",
                        at,
                    ));
                }
            }
        }
        if call.star && (!call.args.is_empty() || call.name != "count" || call.schema.is_some()) {
            return Err(SqlError::not_allowed("`*` is an argument of count() only", at));
        }
        self.check_counts(&call)?;
        Ok(call)
    }

    /// Looks the function up in the lists; gives its schema if it comes from the configuration.
    fn listed(&mut self, parts: Vec<Ident>, at: At) -> Result<(Option<String>, String), SqlError> {
        let mut parts = parts.into_iter();
        let (schema, name) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, None) => (None, name.text),
            (Some(schema), Some(name), None) if self.postgres() => (Some(schema.text), name.text),
            _ => return Err(SqlError::not_allowed("a function's name has at most two parts", at)),
        };
        match schema {
            Some(schema) if schema != "pg_catalog" => {
                let written = format!("{schema}.{name}");
                if !self.allowed.holds(&schema, &name) {
                    let message =
                        format!("function `{}` is not on the list of functions that can be called", cut(&written));
                    return Err(SqlError::UnknownFunction { message, at });
                }
                self.functions.insert(written);
                Ok((Some(schema), name))
            }
            _ => match functions::find(self.dialect, &name) {
                Some(found) => {
                    self.functions.insert(found.to_owned());
                    Ok((None, found.to_owned()))
                }
                None => Err(functions::unknown(self.dialect, &name, at)),
            },
        }
    }

    /// A function that could build something huge takes a plain number.
    fn check_counts(&self, call: &Call) -> Result<(), SqlError> {
        if call.schema.is_some() {
            return Ok(());
        }
        let small = |expr: Option<&Expr>| match expr {
            Some(Expr::Number(digits)) => digits.parse::<u32>().is_ok_and(|count| count <= COUNT_MAX),
            _ => false,
        };
        let fine = match call.name.as_str() {
            "repeat" | "lpad" | "rpad" => call.arg_names.is_empty() && small(call.args.get(1)),
            "format" | "printf" => match call.args.first() {
                Some(Expr::Text(text)) => is_plain_format(text),
                _ => false,
            },
            _ => true,
        };
        if fine {
            return Ok(());
        }
        let message = match call.name.as_str() {
            "format" | "printf" => {
                format!(
                    "`{}` needs a format that is a plain string, without `*` and with widths of at most 3 digits",
                    call.name
                )
            }
            name => format!("`{name}` needs a plain number of at most {COUNT_MAX} as its second argument"),
        };
        Err(SqlError::not_allowed(message, call.at))
    }

    fn special(&mut self, form: Special, args: Vec<ast::FunctionArg>, at: At) -> Result<Expr, SqlError> {
        let mut exprs = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => exprs.push(self.expr(expr)?),
                _ => return Err(SqlError::not_allowed("this argument is not allowed: write values", at)),
            }
        }
        match form {
            Special::First(word) if !exprs.is_empty() => Ok(Expr::First(word, exprs)),
            Special::Row if !exprs.is_empty() => Ok(Expr::Tuple(exprs)),
            Special::Grouping if !exprs.is_empty() => Ok(Expr::GroupingOf(exprs)),
            Special::NullIf => {
                let mut exprs = exprs.into_iter();
                match (exprs.next(), exprs.next(), exprs.next()) {
                    (Some(left), Some(right), None) => Ok(Expr::NullIf(Box::new(left), Box::new(right))),
                    _ => Err(SqlError::syntax("NULLIF takes two values", at)),
                }
            }
            Special::Keyword(word) => match exprs.as_slice() {
                [Expr::Number(digits)] if digits.len() == 1 && digits.as_str() <= "6" => {
                    // What the digits would cut off is cut by a cast.
                    let name = match word {
                        "CURRENT_TIMESTAMP" => "timestamptz",
                        "CURRENT_TIME" => "timetz",
                        "LOCALTIMESTAMP" => "timestamp",
                        _ => "time",
                    };
                    let modifiers = digits.parse().into_iter().collect();
                    let ty = Type { name, modifiers, fields: "", dimensions: 0 };
                    Ok(Expr::Cast(Box::new(Expr::Keyword(word)), ty))
                }
                _ => Err(SqlError::syntax(format!("write {word} without brackets"), at)),
            },
            Special::First(_) | Special::Row | Special::Grouping => {
                Err(SqlError::syntax("this needs at least one value", at))
            }
        }
    }
}

/// What looks like a function to `sqlparser`, and is syntax to PostgreSQL.
#[derive(Clone, Copy)]
enum Special {
    First(&'static str),
    NullIf,
    Row,
    Grouping,
    Keyword(&'static str),
}

fn special(bare: &str, postgres: bool) -> Option<Special> {
    if !postgres {
        return None;
    }
    Some(match bare {
        "coalesce" => Special::First("COALESCE"),
        "greatest" => Special::First("GREATEST"),
        "least" => Special::First("LEAST"),
        "nullif" => Special::NullIf,
        "row" => Special::Row,
        "grouping" => Special::Grouping,
        "current_timestamp" => Special::Keyword("CURRENT_TIMESTAMP"),
        "current_time" => Special::Keyword("CURRENT_TIME"),
        "localtimestamp" => Special::Keyword("LOCALTIMESTAMP"),
        "localtime" => Special::Keyword("LOCALTIME"),
        _ => return None,
    })
}

/// No `*`, and no number of more than three digits.
fn is_plain_format(text: &str) -> bool {
    let mut digits = 0;
    for char in text.chars() {
        digits = if char.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > 3 || char == '*' {
            return false;
        }
    }
    true
}
