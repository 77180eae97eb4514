//! A table's shape as a resource: `asuser://{service}/{table}`.

use asuser_core::ServiceName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const SCHEME: &str = "asuser://";
pub(super) const TEMPLATE: &str = "asuser://{service}/{table}";
/// RFC 3986 §2.3: these need no escape.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const URI_BYTES_MAX: usize = 2048;

/// A table's URI.
pub(super) fn uri(service: &str, table: &str) -> String {
    format!("{SCHEME}{}/{}", utf8_percent_encode(service, ESCAPED), utf8_percent_encode(table, ESCAPED))
}

/// Service and table of a URI; `None`: it names no table.
pub(super) fn parse(uri: &str) -> Option<(ServiceName, String)> {
    let rest = uri.strip_prefix(SCHEME).filter(|_| uri.len() <= URI_BYTES_MAX)?;
    let (service, table) = rest.split_once('/')?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let (service, table) = (decode(service)?, decode(table)?);
    let named = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    // One spelling only: what is sent back as the answer's URI is what was asked.
    (named(&service) && named(&table) && self::uri(&service, &table) == uri).then(|| (service.into(), table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_one_table_in_one_spelling() {
        for (table, text) in [
            ("orders", "asuser://db/orders"),
            ("order items", "asuser://db/order%20items"),
            ("a/b?c#d", "asuser://db/a%2Fb%3Fc%23d"),
            ("größe", "asuser://db/gr%C3%B6%C3%9Fe"),
        ] {
            assert_eq!(uri("db", table), text);
            assert_eq!(parse(text), Some(("db".into(), table.to_owned())));
        }
        for wrong in [
            "",
            "asuser://",
            "asuser://db",
            "asuser://db/",
            "asuser:///orders",
            "asuser://db/orders/id",
            "asuser://db/a%0ab",
            "asuser://db/%6frders",
            "asuser://db/orders?x",
            "asuser://db/orders\n",
            "file:///etc/passwd",
            "ASUSER://db/orders",
            "asuser://db/%ff",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse(&format!("asuser://db/{}", "x".repeat(3000))), None);
    }
}
