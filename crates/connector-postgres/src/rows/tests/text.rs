//! Texts, compared with how serde_json writes them.

use proptest::prelude::*;

use super::*;

fn agrees(text: &str) {
    let expected = serde_json::to_string(text).unwrap();
    assert_eq!(value(Form::Text, text.as_bytes()).unwrap(), expected, "{text:?}");
}

#[test]
fn every_character_below_0x100_at_every_place() {
    for code in 0..0x100 {
        let character = char::from_u32(code).unwrap();
        for before in 0..20 {
            agrees(&format!("{}{character}{}", "é".repeat(before / 2) + &"a".repeat(before % 2), "b".repeat(9)));
            agrees(&format!("{}{character}", "a".repeat(before)));
        }
    }
}

#[test]
fn what_needs_no_escape_stands_as_it_is() {
    let text = "\u{7f}\u{80}\u{2028}\u{2029}</script>\u{1F600}é\u{FFFF}";
    assert_eq!(value(Form::Text, text.as_bytes()).unwrap(), format!("\"{text}\""));
    agrees("");
    agrees("\"");
    agrees(&"\\\"".repeat(1_000));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced() {
    for bytes in
        [&b"a\xffb"[..], b"\xff", b"\xe2\x82", b"\xf0\x9f\x98\"\xc0\x80", b"\xed\xa0\x80\n", b"12345678\x80\"1234567"]
    {
        let expected = serde_json::to_string(&String::from_utf8_lossy(bytes)).unwrap();
        assert_eq!(value(Form::Text, bytes).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn any_text(text in any::<String>(), dense in "[\"\\\\\n\u{1}-\u{1f} a-cé😀]{0,60}") {
        agrees(&text);
        agrees(&dense);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let expected = serde_json::to_string(&String::from_utf8_lossy(&bytes)).unwrap();
        prop_assert_eq!(value(Form::Text, &bytes).unwrap(), expected);
    }
}
