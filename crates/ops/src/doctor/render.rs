//! A report for a reader at a terminal. Findings of a kind stand together.

use std::fmt;

use super::report::{Counts, Report, Seen, Severity};

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: grade {:?}", self.service, self.grade)?;
        writeln!(f, "  server     {}", self.server)?;
        writeln!(f, "  runs as    {}", self.run_as)?;
        writeln!(f, "  because    {}", self.because)?;
        writeln!(f, "  next rung  {}", self.next_rung)?;
        let numbers = [Severity::Critical, Severity::Warning, Severity::Note].map(|severity| self.count(severity));
        writeln!(f, "  findings   {} critical, {} warnings, {} notes", numbers[0], numbers[1], numbers[2])?;
        let mut kind = "";
        for finding in &self.findings {
            if finding.id != kind {
                kind = finding.id;
                writeln!(f, "\n{:<9} {kind}", finding.severity)?;
            }
            writeln!(f, "  {}\n    {}", printable(&finding.subject), printable(&finding.says))?;
            for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
                writeln!(f, "    fix: {}", printable(line))?;
            }
        }
        self.counts.as_ref().map_or(Ok(()), |counts| write!(f, "\n{counts}"))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<[String; 3]> = self
            .tables
            .iter()
            .map(|count| {
                let total = if count.estimated { format!("about {}", count.total) } else { count.total.to_string() };
                let seen = match &count.seen {
                    None => String::new(),
                    Some(Seen::Rows(rows)) => rows.to_string(),
                    Some(Seen::Denied) => "denied".to_owned(),
                    Some(Seen::Unknown(why)) => format!("not counted: {why}"),
                };
                [printable(&count.table), total, seen]
            })
            .collect();
        let head = [
            "table".to_owned(),
            "a shared account".to_owned(),
            self.role.as_deref().map(printable).unwrap_or_default(),
        ];
        let wide = |at: usize| {
            shown
                .iter()
                .chain([&head])
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let (first, second) = (wide(0), wide(1));
        for [table, total, seen] in [&head].into_iter().chain(&shown) {
            let line = format!("  {table:<first$}  {total:>second$}  {seen}");
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.left_out > 0 {
            writeln!(f, "  and {} more tables, not counted", self.left_out)?;
        }
        Ok(())
    }
}

/// A name may hold what moves a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
