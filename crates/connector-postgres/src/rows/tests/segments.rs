//! Segments and limits.

use proptest::prelude::*;

use super::*;

/// What a reader gets who takes segments after every row.
fn streamed(shape: &Arc<Shape>, rows: &[Row], after_each: bool) -> (Vec<Records>, Records) {
    let mut writer = Writer::new(Arc::clone(shape));
    let mut segments = Vec::new();
    for row in rows {
        if after_each {
            segments.extend(std::iter::from_fn(|| writer.take_segment()));
        }
        writer.record(cells(row)).unwrap();
    }
    segments.extend(std::iter::from_fn(|| writer.take_segment()));
    (segments, writer.finish())
}

/// The pieces are the whole, and each says how many records end in it. No record alone is larger than a segment.
fn check(shape: &Arc<Shape>, rows: &[Row]) {
    let mut whole = Vec::new();
    let mut ends = Vec::new();
    for row in rows {
        let one = written(shape, std::slice::from_ref(row)).unwrap();
        whole.extend_from_slice(if ends.is_empty() { b"" } else { b"," });
        whole.extend_from_slice(one.as_bytes());
        ends.push(whole.len());
    }
    for after_each in [true, false] {
        let (segments, last) = streamed(shape, rows, after_each);
        let mut start = 0;
        for piece in segments.iter().chain([&last]) {
            let end = start + piece.json.len();
            assert_eq!(piece.json, whole[start..end]);
            assert_eq!(piece.rows, ends.iter().filter(|at| start < **at && **at <= end).count() as u64);
            assert_eq!((piece.more, piece.count), (false, None));
            start = end;
        }
        assert_eq!(start, whole.len());
        assert!(segments.iter().all(|segment| segment.json.len() == SEGMENT_BYTES_MAX));
        assert!(last.json.len() <= SEGMENT_BYTES_MAX);
        assert_eq!(whole.is_empty(), last.json.is_empty());
    }
}

fn texts(lengths: &[usize]) -> Vec<Row> {
    lengths.iter().enumerate().map(|(at, len)| vec![Some(vec![b'a' + (at % 26) as u8; *len])]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_are_the_whole(lengths in proptest::collection::vec(prop_oneof![8 => 0..300_usize, 2 => 0..90_000_usize], 0..60)) {
        check(&shape(&[Form::Text], |_| {}), &texts(&lengths));
    }
}

#[test]
fn a_full_segment_may_be_all() {
    let shape = shape(&[Form::Text], |spec| spec.as_list = true);
    for (extra, pieces) in [(0, 0), (1, 1), (2, 1)] {
        let rows = texts(&[SEGMENT_BYTES_MAX - 2 + extra]);
        let (segments, last) = streamed(&shape, &rows, true);
        assert_eq!(segments.len(), pieces);
        assert_eq!(last.json.len(), if extra == 0 { SEGMENT_BYTES_MAX } else { extra });
        assert_eq!((segments.iter().map(|segment| segment.rows).sum::<u64>(), last.rows), (0, 1));
    }
    // Two records: the second ends exactly where the segment does, the third is after it.
    let rows = texts(&[SEGMENT_BYTES_MAX - 2 - 4, 1, 0]);
    let (segments, last) = streamed(&shape, &rows, false);
    assert_eq!((segments.len(), segments[0].rows), (1, 2));
    assert_eq!((last.json.as_slice(), last.rows), (&b",\"\""[..], 1));
}

#[test]
fn a_record_may_be_larger_than_segments() {
    let shape = shape(&[Form::Text], |spec| spec.as_list = true);
    let rows = texts(&[10, 5 * SEGMENT_BYTES_MAX + 7, 20, SEGMENT_BYTES_MAX, 0]);
    for after_each in [true, false] {
        let (segments, last) = streamed(&shape, &rows, after_each);
        let rows: Vec<u64> = segments.iter().map(|segment| segment.rows).chain([last.rows]).collect();
        assert_eq!(rows, [1, 0, 0, 0, 0, 2, 2]);
        let mut json: Vec<u8> = segments.into_iter().flat_map(|segment| segment.json).collect();
        json.extend(last.json);
        let json = format!("[{}]", String::from_utf8(json).unwrap());
        let lengths: Vec<usize> = serde_json::from_str::<Vec<String>>(&json).unwrap().iter().map(String::len).collect();
        assert_eq!(lengths, [10, 5 * SEGMENT_BYTES_MAX + 7, 20, SEGMENT_BYTES_MAX, 0]);
    }
}

#[test]
fn a_large_record_gives_its_memory_back() {
    let mut writer = Writer::new(shape(&[Form::Text], |_| {}));
    writer.record(cells(&texts(&[64 * SEGMENT_BYTES_MAX])[0])).unwrap();
    while writer.take_segment().is_some() {}
    assert!(writer.json.capacity() <= 4 * SEGMENT_BYTES_MAX);
    writer.record(cells(&texts(&[3])[0])).unwrap();
    assert!(writer.finish().json.ends_with(b",{\"a\":\"aaa\"}"));
}

#[test]
fn one_row_beyond_the_limit_is_not_written() {
    let shape = shape(&[Form::Integer], |spec| spec.limit = 2);
    for (given, more) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
        let mut writer = Writer::new(Arc::clone(&shape));
        for _ in 0..given {
            writer.record(cells(&row([b"7"]))).unwrap();
        }
        let records = writer.finish();
        let rows = given.min(2);
        assert_eq!((records.rows, records.more, records.count), (rows, more, None));
        assert_eq!(records.json, vec![r#"{"a":7}"#; rows as usize].join(",").into_bytes());
    }
}

#[test]
fn an_answer_stays_within_its_limit() {
    let hex = |len: usize| vec![0xAB; len];
    let rows: Vec<Row> = vec![
        vec![Some(b"a\"b\x01c\xff".to_vec()), Some(hex(5)), Some(0_i64.to_be_bytes().to_vec())],
        vec![Some(b"12345678\\".to_vec()), Some(hex(7)), None],
        vec![None, None, Some(1_i64.to_be_bytes().to_vec())],
    ];
    let forms = [Form::Text, Form::Bytes, Form::Timestamptz];
    for as_list in [false, true] {
        let whole = written(&shape(&forms, |spec| spec.as_list = as_list), &rows).unwrap();
        for bytes_max in 0..whole.len() + 2 {
            let shape = shape(&forms, |spec| (spec.as_list, spec.bytes_max) = (as_list, bytes_max));
            let result = written(&shape, &rows);
            if bytes_max < whole.len() {
                assert_eq!(result, Err(PostgresError::AnswerTooLarge { bytes_max }));
            } else {
                assert_eq!(result.as_deref(), Ok(whole.as_str()));
            }
        }
    }
}

#[test]
fn the_limit_is_of_all_segments_together() {
    let row = texts(&[100_000]).remove(0);
    let all = 10 * 100_002 + 9;
    for (bytes_max, fits) in [(all, true), (all - 1, false)] {
        let mut writer = Writer::new(shape(&[Form::Text], |spec| (spec.as_list, spec.bytes_max) = (true, bytes_max)));
        assert_eq!(writer.bytes_max(), bytes_max);
        let mut taken = 0;
        for at in 0..10 {
            let result = writer.record(cells(&row));
            if at == 9 && !fits {
                assert_eq!(result, Err(PostgresError::AnswerTooLarge { bytes_max }));
            } else {
                assert_eq!(result, Ok(()));
            }
            taken += std::iter::from_fn(|| writer.take_segment()).map(|segment| segment.rows).sum::<u64>();
        }
        // Of a record that was refused nothing is left.
        assert_eq!(taken + writer.finish().rows, if fits { 10 } else { 9 });
    }
}

#[test]
fn what_cannot_fit_is_not_copied() {
    // Every byte needs six: it would fit as it is.
    let escaped: Row = vec![Some(vec![1; 1_000_000])];
    let large: Row = vec![Some(vec![b'a'; 1_000_001])];
    for (form, row) in [(Form::Text, &escaped), (Form::Text, &large), (Form::Bytes, &large), (Form::Json, &large)] {
        let mut writer = Writer::new(shape(&[form], |spec| spec.bytes_max = 1_000_000));
        assert_eq!(writer.record(cells(row)), Err(PostgresError::AnswerTooLarge { bytes_max: 1_000_000 }));
        assert_eq!((writer.json.len(), writer.take_segment()), (0, None));
        assert!(writer.json.capacity() <= 2 * 1_000_000);
    }
}
