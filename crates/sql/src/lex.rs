//! From text to tokens. In: the text. Out: tokens of one statement, with their places. Refuses, before anything is parsed: text that is
//! too long, more than one statement, a statement that is no query, and every token whose meaning the databases and `sqlparser`
//! might see differently or that nobody needs: `U&''`, `N''`, `B''`, placeholders, odd white space, `123abc`.

use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::error::cut;
use crate::names::NAME_BYTES_MAX;
use crate::{At, Dialect, ParameterName, SqlError, TEXT_BYTES_MAX};

/// How deep brackets may be nested.
const BRACKETS_MAX: usize = 100;
/// How many tokens may stand between two commas or brackets. The parser makes of such a run a tree that may be as deep.
const RUN_MAX: usize = 4_000;

/// Reads the tokens; comments and white space are gone.
pub(crate) fn tokens(
    text: &str,
    dialect: Dialect,
    parameters: &[ParameterName],
) -> Result<Vec<TokenWithSpan>, SqlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SqlError::TooLong { bytes_max: TEXT_BYTES_MAX });
    }
    check_characters(text)?;
    let raw = match dialect {
        Dialect::Postgres => Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location(),
        Dialect::Sqlite => Tokenizer::new(&SQLiteDialect {}, text).tokenize_with_location(),
    };
    let raw = raw.map_err(|error| SqlError::syntax(cut(&error.message), at(error.location)))?;
    check_neighbours(&raw, dialect)?;
    let mut tokens = Vec::with_capacity(raw.len());
    let mut run = 0_usize;
    let mut depth = 0_usize;
    let mut raw = raw.into_iter().peekable();
    while let Some(token) = raw.next() {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        let place = at(token.span.start);
        check_token(&token.token, dialect, place)?;
        match token.token {
            Token::LParen | Token::LBracket => {
                depth += 1;
                run = 0;
                if depth > BRACKETS_MAX {
                    return Err(SqlError::TooComplex("brackets are nested too deeply"));
                }
            }
            Token::RParen | Token::RBracket => {
                depth = depth.saturating_sub(1);
                run += 1;
            }
            Token::Comma => run = 0,
            _ => run += 1,
        }
        if run > RUN_MAX {
            return Err(SqlError::TooComplex("an expression or clause is too long"));
        }
        let parameter = match (&token.token, raw.peek().map(|next| (&next.token, next.span.start == token.span.end))) {
            (Token::Colon, Some((Token::Word(word), _))) if word.quote_style.is_none() => {
                parameters.iter().any(|known| known.as_str() == word.value).then(|| word.value.clone())
            }
            _ => None,
        };
        if let Some(name) = parameter {
            raw.next();
            tokens.push(TokenWithSpan::new(Token::Placeholder(format!(":{name}")), token.span));
            continue;
        }
        tokens.push(token);
    }
    one_query(tokens)
}

fn at(location: Location) -> At {
    At { line: u32::try_from(location.line).unwrap_or(0), column: u32::try_from(location.column).unwrap_or(0) }
}

/// The place of a token or name of `sqlparser`.
pub(crate) fn at_span(span: sqlparser::tokenizer::Span) -> At {
    at(span.start)
}

/// Control characters mean different things to different readers of SQL (a lone carriage return ends a comment for PostgreSQL).
fn check_characters(text: &str) -> Result<(), SqlError> {
    let mut place = At { line: 1, column: 1 };
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let fine = match char {
            '\t' | '\n' => true,
            '\r' => chars.peek() == Some(&'\n'),
            _ => !char.is_control(),
        };
        if !fine {
            let message = format!("the statement holds the control character U+{:04X}: remove it", u32::from(char));
            return Err(SqlError::syntax(message, place));
        }
        place = match char {
            '\n' => At { line: place.line.saturating_add(1), column: 1 },
            _ => At { column: place.column.saturating_add(1), ..place },
        };
    }
    Ok(())
}

/// What is only seen before white space is dropped.
fn check_neighbours(tokens: &[TokenWithSpan], dialect: Dialect) -> Result<(), SqlError> {
    for (at_first, first) in tokens.iter().enumerate() {
        let Some(second) = tokens.get(at_first + 1) else { break };
        let place = at(first.span.start);
        match (&first.token, &second.token) {
            (Token::Number(..), Token::Word(word)) if word.quote_style.is_none() => {
                return Err(SqlError::syntax("a number is followed by a letter: put a space between them", place));
            }
            (Token::Word(word), Token::Ampersand) if is_word(word, "u") => {
                let third = tokens.get(at_first + 2);
                let quoted = third.is_some_and(|third| match &third.token {
                    Token::Word(word) => word.quote_style.is_some(),
                    Token::SingleQuotedString(_) => true,
                    _ => false,
                });
                if quoted {
                    return Err(SqlError::not_allowed("`U&` is not allowed: write the characters themselves", place));
                }
            }
            // 'a' 'b' on two lines is one string to PostgreSQL, and two to everybody else.
            (
                Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_),
                Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_),
            ) if dialect == Dialect::Postgres => {
                return Err(SqlError::syntax("a string follows a string: join them with `||`", place));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_word(word: &Word, text: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text)
}

/// The tokens that a statement may hold.
fn check_token(token: &Token, dialect: Dialect, place: At) -> Result<(), SqlError> {
    let postgres = dialect == Dialect::Postgres;
    let refused = |message: &str| Err(SqlError::not_allowed(message, place));
    match token {
        Token::Word(word) => check_word(word, dialect, place),
        Token::Number(digits, long) => {
            if *long || !is_number(digits) {
                return refused("this number is not allowed: write digits, a point and an exponent only");
            }
            Ok(())
        }
        Token::EscapedStringLiteral(text) | Token::SingleQuotedString(text) => {
            if text.contains('\0') {
                refused("a string may not hold a NUL character")
            } else {
                Ok(())
            }
        }
        Token::DollarQuotedString(text) if postgres => {
            // The server takes `$1$` for a parameter.
            if text.tag.as_ref().is_some_and(|tag| tag.starts_with(|char: char| char.is_ascii_digit())) {
                return refused("the tag of a dollar-quoted string may not begin with a digit");
            }
            if text.value.contains('\0') { refused("a string may not hold a NUL character") } else { Ok(()) }
        }
        Token::HexStringLiteral(_) if !postgres => Ok(()),
        Token::UnicodeStringLiteral(_) => refused("`U&''` is not allowed: write the characters themselves"),
        Token::NationalStringLiteral(_) => refused("`N''` is not allowed: write a plain string"),
        Token::HexStringLiteral(_) | Token::SingleQuotedByteStringLiteral(_) => {
            refused("bit strings are not allowed: write a number, or '\\x…'::bytea")
        }
        Token::DoubleQuotedString(_) => refused("a string is written in single quotes"),
        Token::Placeholder(_) => refused("parameters are not allowed: write the value itself"),
        Token::Char(char) => {
            Err(SqlError::syntax(format!("the character `{}` is not expected", char.escape_default()), place))
        }
        Token::Question | Token::QuestionAnd | Token::QuestionPipe if !postgres => {
            refused("parameters are not allowed: write the value itself")
        }
        Token::DollarQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_)
        | Token::CopyData { .. }
        | Token::Backslash
        | Token::LBrace
        | Token::RBrace
        | Token::DuckIntDiv
        | Token::Assignment => Err(SqlError::syntax(
            "this is not SQL that is read here: use single-quoted strings and standard operators",
            place,
        )),
        _ => Ok(()),
    }
}

fn check_word(word: &Word, dialect: Dialect, place: At) -> Result<(), SqlError> {
    if word.value.is_empty() {
        return Err(SqlError::syntax("a quoted name is empty", place));
    }
    // `sqlparser` would take it for an alias.
    if is_word(word, "isnull") {
        return Err(SqlError::not_allowed("`ISNULL` is not allowed: write IS NULL, or coalesce(a, b)", place));
    }
    if word.value.contains('\0') {
        return Err(SqlError::not_allowed("a name may not hold a NUL character", place));
    }
    if dialect == Dialect::Postgres && word.value.len() > NAME_BYTES_MAX {
        return Err(SqlError::not_allowed(format!("the name `{}` is longer than 63 bytes", cut(&word.value)), place));
    }
    if word.value.len() > 1_000 {
        return Err(SqlError::not_allowed(format!("the name `{}` is too long", cut(&word.value)), place));
    }
    // White space that is none to the database, such as U+00A0, would be part of the name.
    let plain = |char: char| char.is_alphanumeric() || char == '_' || char == '$';
    if word.quote_style.is_none() && !word.value.chars().all(plain) {
        let message = format!(
            "`{}` holds a character that is not allowed in a name: use ASCII white space, or quote the name",
            cut(&word.value)
        );
        return Err(SqlError::syntax(message, place));
    }
    Ok(())
}

/// Digits, at most one point, and an exponent.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fine = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && unsigned.len() <= 4 && digits(unsigned)
    });
    text.len() <= 1_000
        && digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_fine
}

/// Checks that it is one statement, and one that begins like a query. Gives it without its semicolon.
fn one_query(mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SqlError> {
    while tokens.last().is_some_and(|last| last.token == Token::SemiColon) {
        tokens.pop();
    }
    if let Some(token) = tokens.iter().find(|token| token.token == Token::SemiColon) {
        return Err(SqlError::not_allowed("send one statement at a time: `;` may only end it", at(token.span.start)));
    }
    let first = tokens.iter().find(|token| token.token != Token::LParen);
    let Some(first) = first else {
        return Err(SqlError::syntax("the statement is empty: write SELECT …", At::default()));
    };
    match &first.token {
        Token::Word(word)
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE) =>
        {
            Ok(tokens)
        }
        Token::Word(word) if word.keyword != Keyword::NoKeyword => Err(SqlError::not_allowed(
            format!(
                "`{}` is not allowed: only SELECT, VALUES and WITH … SELECT can be run",
                cut(&word.value.to_uppercase())
            ),
            at(first.span.start),
        )),
        _ => Err(SqlError::syntax("the statement must begin with SELECT, VALUES or WITH", at(first.span.start))),
    }
}

/// `sqlparser`'s word for the dialect.
pub(crate) fn parser_dialect(dialect: Dialect) -> &'static dyn sqlparser::dialect::Dialect {
    match dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
    }
}
