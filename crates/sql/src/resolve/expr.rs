//! Expressions: every name inside them.

use super::Resolver;
use crate::tree::{Bound, Call, Expr, Over, Subscript, Window};
use crate::{At, SqlError};

impl Resolver<'_> {
    pub(super) fn exprs(&mut self, list: &mut [Expr]) -> Result<(), SqlError> {
        list.iter_mut().try_for_each(|expr| self.expr(expr))
    }

    pub(super) fn expr(&mut self, expr: &mut Expr) -> Result<(), SqlError> {
        match expr {
            Expr::Column(column) => {
                // A column with a target is one that we made.
                if column.target.is_none() {
                    *expr = self.column(column)?;
                }
                Ok(())
            }
            Expr::Row(_)
            | Expr::Ordinal(_)
            | Expr::Null
            | Expr::Bool(_)
            | Expr::Number(_)
            | Expr::Text(_)
            | Expr::Blob(_)
            | Expr::Parameter(_)
            | Expr::Keyword(_)
            | Expr::Interval { .. } => Ok(()),
            Expr::Prefix(_, inner) | Expr::Not(inner) | Expr::Cast(inner, _) | Expr::Collate(inner, _) => {
                self.expr(inner)
            }
            Expr::Is { expr, .. } | Expr::Extract { expr, .. } => self.expr(expr),
            Expr::Distinct { left, right, .. } => {
                self.expr(left)?;
                self.expr(right)?;
                // It is spelt out with IS NULL, which means something else for rows.
                let is_row = |expr: &Expr| matches!(expr, Expr::Row(_) | Expr::Tuple(_));
                if is_row(left) || is_row(right) {
                    let message = "IS DISTINCT FROM takes no rows: compare their columns one by one";
                    return Err(SqlError::not_allowed(message, At::default()));
                }
                Ok(())
            }
            Expr::Binary(_, left, right) | Expr::NullIf(left, right) | Expr::Quantified { left, right, .. } => {
                self.expr(left)?;
                self.expr(right)
            }
            Expr::And(list)
            | Expr::Or(list)
            | Expr::Array(list)
            | Expr::Tuple(list)
            | Expr::First(_, list)
            | Expr::GroupingOf(list) => self.exprs(list),
            Expr::Like { expr, pattern, escape, .. } => {
                self.expr(expr)?;
                self.expr(pattern)?;
                escape.as_mut().map_or(Ok(()), |escape| self.expr(escape))
            }
            Expr::Between { expr, low, high, .. } => {
                self.expr(expr)?;
                self.expr(low)?;
                self.expr(high)
            }
            Expr::InList { expr, list, .. } => {
                self.expr(expr)?;
                self.exprs(list)
            }
            Expr::InQuery { expr, query, .. } => {
                self.expr(expr)?;
                self.query(query, None)
            }
            Expr::Exists(query) | Expr::Query(query) | Expr::ArrayQuery(query) => self.query(query, None),
            Expr::Subscript(inner, subscripts) => {
                self.expr(inner)?;
                for subscript in subscripts {
                    match subscript {
                        Subscript::Index(index) => self.expr(index)?,
                        Subscript::Slice(low, high) => {
                            low.iter_mut().chain(high).try_for_each(|bound| self.expr(bound))?;
                        }
                    }
                }
                Ok(())
            }
            Expr::Case { operand, whens, otherwise } => {
                for part in operand.iter_mut().chain(otherwise) {
                    self.expr(part)?;
                }
                for (condition, result) in whens {
                    self.expr(condition)?;
                    self.expr(result)?;
                }
                Ok(())
            }
            Expr::Call(call) => self.call(call),
        }
    }

    pub(super) fn call(&mut self, call: &mut Call) -> Result<(), SqlError> {
        self.exprs(&mut call.args)?;
        for order in call.order_by.iter_mut().chain(&mut call.within_group) {
            self.expr(&mut order.expr)?;
        }
        if let Some(filter) = &mut call.filter {
            self.expr(filter)?;
        }
        match &mut call.over {
            Some(Over::Window(window)) => self.window(window),
            Some(Over::Named(_)) | None => Ok(()),
        }
    }

    pub(super) fn window(&mut self, window: &mut Window) -> Result<(), SqlError> {
        self.exprs(&mut window.partition_by)?;
        for order in &mut window.order_by {
            self.expr(&mut order.expr)?;
        }
        let Some(frame) = &mut window.frame else { return Ok(()) };
        for bound in [Some(&mut frame.start), frame.end.as_mut()].into_iter().flatten() {
            match bound {
                Bound::Preceding(Some(expr)) | Bound::Following(Some(expr)) => self.expr(expr)?,
                Bound::CurrentRow | Bound::Preceding(None) | Bound::Following(None) => {}
            }
        }
        Ok(())
    }
}
