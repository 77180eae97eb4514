//! Every form with its edges, names, lists, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn numbers_keep_their_digits() {
    let kept = [
        (Form::Integer, "0"),
        (Form::Integer, "-32768"),
        (Form::Integer, "4294967295"),
        (Form::Bigint, "9223372036854775807"),
        (Form::Bigint, "-9223372036854775808"),
        (Form::Bigint, "9007199254740993"),
        (Form::Numeric, "0"),
        (Form::Numeric, "-12.50"),
        (Form::Numeric, "0.001"),
        (Form::Numeric, "0.00"),
        (Form::Numeric, "123"),
        (Form::Numeric, "123456789012345678901234567890.123456789012345678901234567890"),
    ];
    for (form, digits) in kept {
        assert_eq!(value(form, digits.as_bytes()).unwrap(), digits);
        let as_text = if form == Form::Integer { digits.to_owned() } else { format!("\"{digits}\"") };
        assert_eq!(value_as_text(form, digits.as_bytes()), as_text);
    }
    for name in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(value(Form::Numeric, name.as_bytes()).unwrap(), format!("\"{name}\""));
        assert_eq!(value_as_text(Form::Numeric, name.as_bytes()), format!("\"{name}\""));
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for bad in ["", "-", "+1", "01", "-00", "1 ", " 1", "1e5", "0x10", "1,\"x\":2", "NaN", "--1", "1.5", "\u{661}"] {
        assert!(is_refused(value(Form::Integer, bad.as_bytes())), "{bad}");
        assert!(is_refused(value(Form::Bigint, bad.as_bytes())), "{bad}");
    }
    for bad in ["", "-", ".5", "5.", "-.5", "01.5", "1.5.5", "1e5", "+1", "nan", "infinity", "-NaN", "1.-5", "1}"] {
        assert!(is_refused(value(Form::Numeric, bad.as_bytes())), "{bad}");
    }
}

#[test]
fn booleans() {
    assert_eq!(value(Form::Boolean, b"t").unwrap(), "true");
    assert_eq!(value(Form::Boolean, b"f").unwrap(), "false");
    for bad in [&b""[..], b"true", b"T", b"1", b"\x01"] {
        assert!(is_refused(value(Form::Boolean, bad)));
    }
}

#[test]
fn floats_are_the_shortest_numbers_that_read_back() {
    let four = |real: f32| value(Form::Float4, &real.to_be_bytes()).unwrap();
    let eight = |real: f64| value(Form::Float8, &real.to_be_bytes()).unwrap();
    assert_eq!((four(0.1), eight(0.1)), ("0.1".to_owned(), "0.1".to_owned()));
    assert_eq!((four(-0.0), eight(12.0)), ("-0.0".to_owned(), "12.0".to_owned()));
    assert_eq!(eight(f64::MAX).parse(), Ok(f64::MAX));
    assert_eq!(eight(5e-324).parse(), Ok(5e-324));
    assert_eq!(four(f32::MAX).parse(), Ok(f32::MAX));
    assert_eq!((four(f32::NAN), eight(-f64::NAN)), ("\"NaN\"".to_owned(), "\"NaN\"".to_owned()));
    assert_eq!((four(f32::INFINITY), eight(f64::INFINITY)), ("\"Infinity\"".to_owned(), "\"Infinity\"".to_owned()));
    assert_eq!(four(f32::NEG_INFINITY), "\"-Infinity\"");
    assert_eq!(eight(f64::NEG_INFINITY), "\"-Infinity\"");
    // A number of another size is none.
    assert!(is_refused(value(Form::Float4, &1.0_f64.to_be_bytes())));
    assert!(is_refused(value(Form::Float8, &1.0_f32.to_be_bytes())));
}

proptest! {
    #[test]
    fn every_float_reads_back(bits in any::<u64>()) {
        let eight = f64::from_bits(bits);
        let text = value(Form::Float8, &eight.to_be_bytes()).unwrap();
        if eight.is_finite() {
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        } else {
            prop_assert!(text.starts_with('"'));
        }
        let four = f32::from_bits(bits as u32);
        let text = value(Form::Float4, &four.to_be_bytes()).unwrap();
        if four.is_finite() {
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
            prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), bits as u32);
        }
    }

    #[test]
    fn bytes_are_base64(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = value(Form::Bytes, &bytes).unwrap();
        let inner = text.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        prop_assert_eq!(data_encoding::BASE64.decode(inner.as_bytes()).unwrap(), bytes);
    }

    /// Whatever a server sends: JSON or a refusal.
    #[test]
    fn no_cell_breaks_out(cell in proptest::collection::vec(any::<u8>(), 0..20), at in 0..FORMS.len()) {
        let form = FORMS[at];
        // What the server says is JSON is not parsed again.
        if !matches!(form, Form::Json | Form::ToJson) {
            for as_list in [false, true] {
                let shape = shape(&[form, Form::Boolean], |spec| spec.as_list = as_list);
                if let Ok(text) = written(&shape, &[vec![Some(cell.clone()), None]]) {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
                }
            }
        }
    }
}

#[test]
fn bytes() {
    assert_eq!(value(Form::Bytes, b"").unwrap(), "\"\"");
    assert_eq!(value(Form::Bytes, &[0x00, 0xFF, 0x10]).unwrap(), "\"AP8Q\"");
    assert_eq!(value(Form::Bytes, b"a").unwrap(), "\"YQ==\"");
}

#[test]
fn json_stands_as_it_is() {
    let texts = [r#"{"a": [1, null, "x\u0000\"y"]}"#, "[]", "null", "\"ü\"", "{\n\t\"a\" : 1.50\r\n}", "1e400"];
    for text in texts {
        assert_eq!(value(Form::Json, text.as_bytes()).unwrap(), text);
        assert_eq!(value(Form::ToJson, text.as_bytes()).unwrap(), text);
    }
    assert!(is_refused(value(Form::Json, b"")));
    assert!(is_refused(value(Form::ToJson, b"\"\xff\"")));
}

#[test]
fn null_is_null_in_every_form() {
    for form in FORMS {
        for as_list in [false, true] {
            let shape = shape(&[form, form], |spec| spec.as_list = as_list);
            let expected = if as_list { "\"(null,null)\"" } else { r#"{"a":null,"b":null}"# };
            assert_eq!(written(&shape, &[vec![None, None]]).unwrap(), expected);
        }
        assert_eq!(written(&shape(&[form], |spec| spec.as_list = true), &[vec![None]]).unwrap(), "null");
    }
}

#[test]
fn binary_values_have_their_length() {
    for form in [Form::Float4, Form::Float8, Form::Timestamptz, Form::Timestamp, Form::Date] {
        let len = if matches!(form, Form::Float4 | Form::Date) { 4 } else { 8 };
        assert!(value(form, &vec![0; len]).is_ok());
        for other in [0, len - 1, len + 1, 2 * len] {
            assert!(is_refused(value(form, &vec![0; other])), "{form:?} of {other}");
        }
    }
}

#[test]
fn a_value_in_the_other_format_is_refused() {
    for form in FORMS {
        let mut statement = statement(&[form]);
        statement.columns[0].binary = !statement.columns[0].binary;
        let shape = Arc::new(Shape::of(&spec(&["a"]), &statement, RowOptions { bigint_as_text: false }));
        // Eight digits would be a float too.
        assert!(is_refused(written(&shape, &[row([b"12345678"])])), "{form:?}");
    }
}

#[test]
fn names_are_keys() {
    let names = ["id", "is \"ok\"", "Größe", "a\\\n\u{1}", "", "select"];
    let shape = Shape::of(&spec(&names), &statement(&[Form::Integer; 6]), RowOptions { bigint_as_text: false });
    let text = written(&Arc::new(shape), &[row([b"1"; 6]), row([b"2"; 6])]).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&format!("[{text}]")).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    for name in names {
        assert_eq!((&rows[0][name], &rows[1][name]), (&json!(1), &json!(2)), "{name}");
    }
}

#[test]
fn a_row_has_the_columns_of_its_statement() {
    for as_list in [false, true] {
        for forms in [&[Form::Text][..], &[Form::Text, Form::Text]] {
            let shape = shape(forms, |spec| spec.as_list = as_list);
            assert!(written(&shape, &[vec![None; forms.len()]]).is_ok());
            assert!(is_refused(written(&shape, &[vec![None; forms.len() - 1]])));
            assert!(is_refused(written(&shape, &[vec![None; forms.len() + 1]])));
        }
        // A statement of another plan.
        let mut spec = spec(&["a", "b"]);
        spec.as_list = as_list;
        for width in [1, 3] {
            let statement = statement(&vec![Form::Text; width]);
            let shape = Arc::new(Shape::of(&spec, &statement, RowOptions { bigint_as_text: false }));
            for width in 1..4 {
                assert!(is_refused(written(&shape, &[vec![None; width]])));
            }
        }
    }
}

#[test]
fn lists() {
    let bare = shape(&[Form::Text], |spec| spec.as_list = true);
    assert_eq!(written(&bare, &[row([b"x\"y"]), vec![None], row([b"z"])]).unwrap(), r#""x\"y",null,"z""#);
    let forms = [Form::Text, Form::Integer, Form::Boolean, Form::Json, Form::Timestamptz, Form::Bytes];
    let several = shape(&forms, |spec| spec.as_list = true);
    let zero = 0_i64.to_be_bytes();
    let text =
        written(&several, &[row([b"x\"\\y\n\xff", b"-2", b"t", br#"["a"]"#, &zero, b"a"]), vec![None; 6]]).unwrap();
    let lines: Vec<String> = serde_json::from_str(&format!("[{text}]")).unwrap();
    assert_eq!(
        lines,
        ["(x\"\\y\n\u{FFFD},-2,true,[\"a\"],2000-01-01T00:00:00Z,YQ==)", "(null,null,null,null,null,null)"]
    );
    let mut spec = spec(&["a", "b"]);
    spec.as_list = true;
    let shape = Shape::of(&spec, &statement(&[Form::Numeric, Form::Float8]), RowOptions { bigint_as_text: true });
    let row = row([b"1.50", &f64::NAN.to_be_bytes()]);
    assert_eq!(written(&Arc::new(shape), &[row]).unwrap(), r#""(1.50,NaN)""#);
}
